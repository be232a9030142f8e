/* SPDX-License-Identifier: MIT */

/* The one table of what berth can do. Help, completion and suggestions are made from it. */

#include "client/cli/cli.h"

#define AT(member) offsetof(struct options, member)
#define END_ROW                                                                                              \
        {                                                                                                    \
                .name = NULL                                                                                 \
        }

#define NO_WAIT_ROW                                                                                          \
        {                                                                                                    \
                "no-wait", 'n', OPTION_FLAG, AT(no_wait), NULL,                                              \
                        "do not wait: exit 75 at once if nothing is free"                                    \
        }
#define WAIT_ROW                                                                                             \
        {                                                                                                    \
                "wait", 'w', OPTION_DURATION, AT(wait_ms), "DURATION",                                       \
                        "wait no longer than this, then exit 75"                                             \
        }

#define OUTPUT_ROW                                                                                           \
        {                                                                                                    \
                "output", 'o', OPTION_TEXT, AT(output), "FILE", "write there, and not to standard output"    \
        }

static const struct option_row run_options[] = {
        NO_WAIT_ROW,
        WAIT_ROW,
        {"namespace", 0, OPTION_TEXT, AT(namespace), "NAME", "this namespace, and not a fresh one"},
        {"label", 0, OPTION_TEXT, AT(label), "TEXT", "what 'berth list' shows; default: the command"},
        {"keep", 0, OPTION_FLAG, AT(keep), NULL, "leave the schemas for inspection"},
        END_ROW,
};

static const struct option_row slot_options[] = {
        NO_WAIT_ROW,
        WAIT_ROW,
        {"worker", 0, OPTION_TEXT, AT(worker), "gwN",
         "for this worker; default: $PYTEST_XDIST_WORKER, or gw0"},
        {"database", 0, OPTION_TEXT, AT(database), "NAME", "on the server of this database"},
        END_ROW,
};

static const struct option_row list_options[] = {
        {"all", 'a', OPTION_FLAG, AT(all), NULL, "also leases that have ended"},
        {"watch", 0, OPTION_FLAG, AT(watch), NULL, "go on with every change until interrupted"},
        END_ROW,
};

static const struct option_row locks_options[] = {
        {"dot", 0, OPTION_FLAG, AT(dot), NULL, "a graph in the language of Graphviz"},
        {"svg", 0, OPTION_FLAG, AT(svg), NULL, "a picture: who waits behind whom"},
        OUTPUT_ROW,
        END_ROW,
};

static const struct option_row sweep_options[] = {
        {"no-wait", 'n', OPTION_FLAG, AT(no_wait), NULL, "exit 75 if a sweep is running, do not wait for it"},
        {"dry-run", 0, OPTION_FLAG, AT(dry_run), NULL, "say what would be dropped, and drop nothing"},
        END_ROW,
};

static const struct option_row history_options[] = {
        {"since", 0, OPTION_DURATION, AT(since_ms), "DURATION", "only what is not older"},
        {"limit", 0, OPTION_NUMBER, AT(limit), "N", "only the last N"},
        END_ROW,
};

static const struct option_row report_options[] = {
        {"last", 0, OPTION_NUMBER, AT(last), "N", "the last N runs, a line each"},
        {"failed", 0, OPTION_FLAG, AT(failed), NULL, "only runs that did not pass"},
        {"diff", 0, OPTION_FLAG, AT(diff), NULL, "what fails newly, no longer, still"},
        {"junit", 0, OPTION_FLAG, AT(junit), NULL, "as JUnit's XML"},
        {"github", 0, OPTION_FLAG, AT(github), NULL, "as annotations of a GitHub workflow"},
        END_ROW,
};

static const struct option_row timeline_options[] = {
        {"since", 0, OPTION_DURATION, AT(since_ms), "DURATION", "only what is not older; default: 1h"},
        OUTPUT_ROW,
        END_ROW,
};

static const struct option_row revoke_options[] = {
        {"reason", 0, OPTION_TEXT, AT(reason), "TEXT", "told to the holder, and kept in the history"},
        END_ROW,
};

static const struct option_row keep_options[] = {
        {"for", 0, OPTION_DURATION, AT(for_ms), "DURATION", "for this long; default: keep_for of berthd"},
        END_ROW,
};

static const struct option_row config_options[] = {
        {"config", 0, OPTION_TEXT, AT(config), "FILE", "look at this file, and ask no daemon"},
        END_ROW,
};

static const struct option_row name_options[] = {
        {"app", 0, OPTION_FLAG, AT(application), NULL, "the application_name, and not the schema"},
        {"namespace", 0, OPTION_TEXT, AT(namespace), "NAME", "default: $BERTH_NAMESPACE"},
        END_ROW,
};

static const struct verb table[] = {
        {.name = "run",
         .summary = "run a command with a namespace that nobody else has",
         .usage = "[--] COMMAND [ARGUMENT]...",
         .examples = "  berth run -- pytest -n 8\n"
                     "  berth run -w 5min --label nightly -- make check\n"
                     "  berth run --namespace mydebug --keep -- pytest tests/test_api.py\n",
         .notes = "The command gets BERTH_NAMESPACE, BERTH_LEASE (a secret), BERTH_SOCKET and\n"
                  "BERTH_REPORT_DIR; berthd's namespace_env and $BERTH_NAMESPACE_ENV may name\n"
                  "further variables for the namespace. It always gets a fresh namespace, unless\n"
                  "--namespace or BERTH_NAMESPACE_FORCE says otherwise. When berth returns, no\n"
                  "process of the run is alive, and there is a report of it: see 'berth report'.\n"
                  "The exit code is the command's; 75: not in time, 69: no daemon, 125: berth\n"
                  "failed, 126: cannot execute, 127: not found.\n",
         .options = run_options,
         .n_min = 1,
         .n_max = -1,
         .run = cmd_run},
        {.name = "slot",
         .summary = "run a command that builds or drops schemas, in a DDL slot",
         .usage = "[--] COMMAND [ARGUMENT]...",
         .examples = "  berth slot -- psql -f schema.sql\n"
                     "  berth slot --database tenant1 -w 10min -- alembic upgrade head\n",
         .notes = "Under 'berth run' the slot belongs to that run; elsewhere to a lease for the\n"
                  "time of the command. Exit codes are those of 'berth run'.\n",
         .options = slot_options,
         .n_min = 1,
         .n_max = -1,
         .run = cmd_slot},
        {.name = "status",
         .schemas = "status status_namespace",
         .summary = "what the daemon does, or how one run stands",
         .usage = "[NAMESPACE]",
         .examples = "  berth status\n"
                     "  berth status $BERTH_NAMESPACE\n"
                     "  berth status --json | jq .databases\n",
         .n_max = 1,
         .run = cmd_status},
        {.name = "list",
         .schemas = "list list_watch",
         .summary = "the leases",
         .usage = "",
         .examples = "  berth list\n"
                     "  berth list --all --json | jq -r '.leases[].context.namespace'\n"
                     "  berth list --watch\n",
         .notes = "With --watch --json each line is an object.\n",
         .options = list_options,
         .run = cmd_list},
        {.name = "locks",
         .schemas = "locks",
         .summary = "who blocks whom, in all databases, and whose run that is",
         .usage = "[DATABASE]",
         .examples = "  berth locks\n"
                     "  berth locks tenant1 --json\n"
                     "  berth locks --dot | dot -Tpng >locks.png\n"
                     "  berth locks --svg -o locks.svg\n",
         .options = locks_options,
         .n_max = 1,
         .run = cmd_locks},
        {.name = "sweep",
         .schemas = "sweep",
         .summary = "drop what ended runs have left",
         .usage = "[DATABASE]",
         .examples = "  berth sweep --dry-run\n"
                     "  berth sweep\n"
                     "  berth sweep --json | jq '.databases[].kept'\n",
         .notes = "Exit code 3: nothing was dropped, since not every database said who is using it.\n"
                  "1: something could not be dropped.\n",
         .options = sweep_options,
         .n_max = 1,
         .run = cmd_sweep},
        {.name = "history",
         .schemas = "history",
         .summary = "what happened, from the ledger",
         .usage = "[NAMESPACE]",
         .examples = "  berth history --since 2h\n"
                     "  berth history p18234t1745178234r3af93d71\n",
         .options = history_options,
         .n_max = 1,
         .run = cmd_history},
        {.name = "explain",
         .schemas = "explain",
         .summary = "why a schema or namespace is kept, or when and why it went",
         .usage = "NAMESPACE|SCHEMA|APPLICATION_NAME",
         .examples = "  berth explain test_p18234t1745178234r3af93d71_gw0\n"
                     "  berth explain pytest_gw3_p18234t1745178234r3af93d71\n"
                     "  berth explain $BERTH_NAMESPACE --json | jq -r .answer\n",
         .notes = "The first line is the answer. It goes back as far as the ledger remembers (30\n"
                  "days).\n"
                  "Exit code 1: nothing is known of that name.\n",
         .n_min = 1,
         .n_max = 1,
         .run = cmd_explain},
        {.name = "top",
         .summary = "a live screen of runs, waiters, slots and who blocks whom",
         .usage = "",
         .examples = "  berth top\n"
                     "  NO_COLOR=1 berth top\n",
         .notes = "Keys: q quit, s sort, r reverse, p pause, 1 runs, 2 waiting, 3 blocked, 0 all,\n"
                  "arrows scroll.\n"
                  "It only looks, and prints no JSON. A daemon that restarts is waited for.\n",
         .run = cmd_top},
        {.name = "timeline",
         .summary = "a picture of runs, slots and sweeps, from the ledger",
         .usage = "",
         .examples = "  berth timeline -o night.svg --since 12h\n"
                     "  berth timeline | rsvg-convert -o now.png\n",
         .notes = "The picture is SVG, prints no JSON, and is drawn in the time zone of $TZ.\n",
         .options = timeline_options,
         .run = cmd_timeline},
        {.name = "metrics",
         .schemas = "metrics",
         .summary = "what berthd has counted, for Prometheus",
         .usage = "",
         .examples = "  berth metrics\n"
                     "  berth metrics | grep slot_wait\n"
                     "  berth metrics >/var/lib/prometheus/node-exporter/berth.prom\n",
         .notes = "berthd serves the same over HTTP where its option metrics_listen says.\n",
         .run = cmd_metrics},
        {.name = "report",
         .schemas = "report report-list report-diff",
         .summary = "what a run has left behind: which tests failed, and why",
         .usage = "[NAMESPACE|FILE | --diff BEFORE AFTER]",
         .examples = "  berth report\n"
                     "  berth report --last 20 --failed\n"
                     "  berth report --diff p18234t1745178234r3af93d71 p20491t1745178241r9c12d4fe\n"
                     "  berth report --junit >report.xml\n",
         .notes = "Without a name it is the last run. Reports lie in $BERTH_REPORT_DIR, or in\n"
                  "~/.local/state/berth/reports. No daemon is needed. Exit code 1: there is none.\n",
         .options = report_options,
         .n_max = 2,
         .run = cmd_report},
        {.name = "revoke",
         .schemas = "revoke",
         .summary = "end a lease; its processes go on",
         .usage = "NAMESPACE",
         .examples = "  berth revoke p18234t1745178234r3af93d71 --reason 'forgotten debugger'\n",
         .options = revoke_options,
         .n_min = 1,
         .n_max = 1,
         .run = cmd_revoke},
        {.name = "keep",
         .schemas = "keep",
         .summary = "leave the schemas of a run, live or ended, for inspection",
         .usage = "NAMESPACE",
         .examples = "  berth keep $BERTH_NAMESPACE\n"
                     "  berth keep p18234t1745178234r3af93d71 --for 3d\n",
         .options = keep_options,
         .n_min = 1,
         .n_max = 1,
         .run = cmd_keep},
        {.name = "doctor",
         .schemas = "doctor",
         .summary = "what is wrong, why it matters, and what to type",
         .usage = "",
         .examples = "  berth doctor\n"
                     "  berth doctor --json | jq '.findings[] | select(.level != \"ok\")'\n"
                     "  berth doctor --config new.conf    look before you reload\n",
         .notes = "Works without a daemon too. Exit code 0: all is well. 1: there are findings.\n",
         .options = config_options,
         .run = cmd_doctor},
        {.name = "config",
         .schemas = "config",
         .summary = "the configuration in force, and where each value comes from",
         .usage = "",
         .examples = "  berth config\n"
                     "  berth config --json | jq -r '.options[] | select(.origin == \"file\").name'\n",
         .notes = "Of the daemon; where none runs, of what it would read. Passwords are not shown.\n",
         .options = config_options,
         .run = cmd_config},
        {.name = "name",
         .schemas = "name",
         .summary = "the schema or application name of a worker",
         .usage = "WORKER [SUFFIX]",
         .examples = "  berth name gw0\n"
                     "  berth name gw3 audit\n"
                     "  PGAPPNAME=$(berth name gw0 --app) psql\n",
         .options = name_options,
         .n_min = 1,
         .n_max = 2,
         .run = cmd_name},
};

const struct verb *verbs(size_t *ret_n)
{
        *ret_n = sizeof(table) / sizeof(table[0]);
        return table;
}
