/* SPDX-License-Identifier: MIT */

/* The configuration as berth config shows it: each value, and where it comes from. */
#include "config.h"

#include "config_options.h"
#include "pg/check.h"
#include "proto/json.h"
#include "util/cleanup.h"

#include <stdlib.h>
#include <sys/stat.h>

static void add_origin(struct cJSON *object, const struct config_origin *origin)
{
        bool is_standard = !origin->text || origin->is_standard;

        json_add_string(object, "origin", is_standard ? "standard" : origin->file ? "file" : "command_line");
        json_add_string(object, "file", origin->file);
        if (origin->file)
                json_add_integer(object, "line", origin->line);
}

static struct cJSON *describe_options(const struct config *config)
{
        struct cJSON *array = json_array();
        const char *name, *standard;

        for (size_t i = 0; (name = config_option_name(i, &standard)); i++) {
                const struct config_origin *origin = &config->origins[i];
                struct cJSON *object = json_object();

                json_add_string(object, "name", name);
                json_add_string(object, "value", origin->text ? origin->text : standard);
                json_add_string(object, "standard", origin->is_standard ? origin->text : standard);
                add_origin(object, origin);
                json_append(array, object);
        }
        return array;
}

static struct cJSON *describe_databases(const struct config *config)
{
        struct cJSON *array = json_array();

        for (unsigned i = 0; i < config->settings.n_databases; i++) {
                _cleanup_free_ char *shown = pg_show_conninfo(config->settings.databases[i].conninfo);
                const struct config_origin *origin = &config->database_origins[i];
                struct cJSON *object = json_object();

                json_add_string(object, "name", config->settings.databases[i].name);
                json_add_string(object, "conninfo", shown);
                json_add_string(object, "file", origin->file);
                if (origin->file)
                        json_add_integer(object, "line", origin->line);
                json_append(array, object);
        }
        return array;
}

struct cJSON *config_describe(const struct config *config)
{
        struct cJSON *object = json_object(), *files = json_array();

        for (unsigned i = 0; i < config->n_files; i++)
                json_append_string(files, config->files[i]);
        json_add(object, "files", files);
        json_add(object, "options", describe_options(config));
        json_add(object, "databases", describe_databases(config));
        return object;
}

const char *config_exposed_file(const struct config *config)
{
        struct stat status;

        for (unsigned i = 0; i < config->settings.n_databases; i++) {
                const char *file = config->database_origins[i].file;

                if (file && pg_has_password(config->settings.databases[i].conninfo) &&
                    stat(file, &status) == 0 && (status.st_mode & S_IROTH))
                        return file;
        }
        return NULL;
}
