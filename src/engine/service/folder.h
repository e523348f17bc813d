/* folder.h - the folder that holds the records of services, and reading and writing one without trusting it
 *
 * On storage that all nodes see. The folder must be ours and nobody else may write to it; a record must be a plain file
 * of ours, with one name and no rights for others, and small. Symbolic links are not followed. Anything else is refused
 * with a sentence: a record says where token and texts are sent. */
#ifndef MU_ENGINE_SERVICE_FOLDER_H
#define MU_ENGINE_SERVICE_FOLDER_H

#include "engine/service/record.h"

#define MU_SERVICE_SCHEME   "service:" /* before NAME or FOLDER/NAME, where an endpoint is named */
#define MU_SERVICES_MAX     1024       /* records of a folder that are looked at */
#define MU_SERVICE_PATH_MAX 4096

struct mu_service_folder {
    int fd;
    char path[MU_SERVICE_PATH_MAX];
};

#define MU_SERVICE_FOLDER_INIT                                                                                         \
    {                                                                                                                  \
        .fd = -1                                                                                                       \
    }

/* "NAME", or "FOLDER/NAME", in parts. The usual folder is $MUSTER_SERVICES, else $XDG_STATE_HOME/muster/services, else
 * ~/.local/state/muster/services. */
int mu_service_place(const char *text, char folder[MU_SERVICE_PATH_MAX], char name[MU_SERVICE_NAME_MAX + 1],
                     struct mu_err *e);
int mu_service_usual_folder(char folder[MU_SERVICE_PATH_MAX], struct mu_err *e);

/* makes: where there is none it is made, for us alone. */
int mu_service_folder_open(struct mu_service_folder *f, const char *path, bool makes, struct mu_err *e);
void mu_service_folder_close(struct mu_service_folder *f);

/* MU_ENOENT: there is none. MU_EINVAL: not to be trusted. MU_EFORMAT, MU_EIO. */
int mu_service_read(const struct mu_service_folder *f, const char *name, struct mu_service_record *r, struct mu_err *e);

/* Appears whole, by renaming. is_first: MU_EINVAL where one is there already; else it is replaced. */
int mu_service_write(const struct mu_service_folder *f, const struct mu_service_record *r, bool is_first,
                     struct mu_err *e);

/* Takes the record away if it is of the life `id`. */
void mu_service_remove(const struct mu_service_folder *f, const char *name, const char *id);

/* The names of all records, in order; the caller frees *names with mu_free(). *n at most MU_SERVICES_MAX. */
int mu_service_names(const struct mu_service_folder *f, char (**names)[MU_SERVICE_NAME_MAX + 1], int *n,
                     struct mu_err *e);

#endif
