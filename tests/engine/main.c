#include "xt.h"

XT_MAIN()
