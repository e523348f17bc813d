# One object library per folder of src/, all of them together libmuster.
#
#   mu_part(fmt SOURCES safetensors.c gguf.c ...)     objects of src/fmt
#   mu_part_level(tensor avx2 FLAGS ... SOURCES ...)  objects that need CPU flags of their own
#   mu_library(muster)                                libmuster.a out of every part so far
#   mu_test(name SOURCES a.c LABELS unit)             a test program run by ctest; COST s: its seconds under sanitizers on
#                                                     one core, of those that take many: the longest begin first

add_library(mu_flags INTERFACE)
target_include_directories(mu_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(mu_flags INTERFACE _GNU_SOURCE MU_VERSION="${PROJECT_VERSION}")
# No contraction: a*b+c is fused only where the source says fma(), so every level gives the same bits.
target_compile_options(mu_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wno-sign-conversion -Wvla
  -Wstrict-prototypes -ffp-contract=off -fno-math-errno)
if(MUSTER_WERROR)
  target_compile_options(mu_flags INTERFACE -Werror)
endif()
if(MUSTER_SANITIZE)
  target_compile_options(mu_flags INTERFACE -fsanitize=${MUSTER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(mu_flags INTERFACE -fsanitize=${MUSTER_SANITIZE})
endif()
if(MUSTER_FUZZ)
  target_compile_options(mu_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(MUSTER_COVERAGE)
  target_compile_options(mu_flags INTERFACE --coverage)
  target_link_options(mu_flags INTERFACE --coverage)
endif()
target_link_libraries(mu_flags INTERFACE PkgConfig::MUSTER_DEPS Threads::Threads m ${CMAKE_DL_LIBS})

set_property(GLOBAL PROPERTY MU_PARTS "")

function(mu_part name)
  cmake_parse_arguments(P "" "" "SOURCES" ${ARGN})
  add_library(mu_${name} OBJECT ${P_SOURCES})
  target_link_libraries(mu_${name} PRIVATE mu_flags)
  set_property(GLOBAL APPEND PROPERTY MU_PARTS mu_${name})
endfunction()

function(mu_part_level name level)
  cmake_parse_arguments(P "" "" "SOURCES;FLAGS" ${ARGN})
  add_library(mu_${name}_${level} OBJECT ${P_SOURCES})
  target_link_libraries(mu_${name}_${level} PRIVATE mu_flags)
  target_compile_options(mu_${name}_${level} PRIVATE ${P_FLAGS})
  if(MUSTER_FUZZ)
    # Kernels see no outside bytes, and clang takes minutes a file to instrument wide vectors.
    target_compile_options(mu_${name}_${level} PRIVATE -fno-sanitize=all)
  endif()
  set_property(GLOBAL APPEND PROPERTY MU_PARTS mu_${name}_${level})
endfunction()

function(mu_library name)
  get_property(parts GLOBAL PROPERTY MU_PARTS)
  set(objects "")
  foreach(p ${parts})
    list(APPEND objects $<TARGET_OBJECTS:${p}>)
  endforeach()
  add_library(${name} STATIC ${objects})
  target_link_libraries(${name} PUBLIC mu_flags)
endfunction()

function(mu_test name)
  cmake_parse_arguments(P "" "TIMEOUT;COST" "SOURCES;LABELS;ARGS" ${ARGN})
  if(NOT P_TIMEOUT)
    set(P_TIMEOUT 300)
  endif()
  if(NOT P_COST)
    set(P_COST 0)
  endif()
  add_executable(test_${name} ${P_SOURCES})
  target_link_libraries(test_${name} PRIVATE xt muster)
  add_test(NAME ${name} COMMAND test_${name} ${P_ARGS} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${P_TIMEOUT} COST ${P_COST} LABELS "${P_LABELS}"
    SKIP_RETURN_CODE 77)
endfunction()

# A fuzz target: with MUSTER_FUZZ a libFuzzer program, always a test that replays the kept corpus.
function(mu_fuzz name)
  cmake_parse_arguments(P "" "" "SOURCES" ${ARGN})
  set(corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
  if(MUSTER_FUZZ)
    add_executable(fuzz_${name} ${P_SOURCES})
    target_link_libraries(fuzz_${name} PRIVATE muster)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(fuzz_${name} ${P_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
    target_link_libraries(fuzz_${name} PRIVATE muster)
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${corpus})
    set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 300 LABELS "fuzz")
  endif()
endfunction()
