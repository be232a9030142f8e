/* SPDX-License-Identifier: MIT */
#include "service/doctor_checks.h"
#include "service/survey.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* Whose databases have been heard, and whose ledger is being looked at. */
struct patient {
        TAILQ_ENTRY(patient) link; /* doctor::patients */
        uint64_t caller;
};

struct doctor {
        struct doctor_sources sources;
        struct survey *survey;
        doctor_configuration_fn *configuration;
        void *configuration_owner;
        doctor_fn *each;
        void *owner;
        TAILQ_HEAD(, patient) patients;
        bool is_inspecting; /* the ledger, for all of them */
};

/* Who listens to a finding_fn. */
struct listener {
        struct doctor *doctor;
        uint64_t caller;
};

static void tell(void *owner, const struct finding *finding)
{
        const struct listener *listener = owner;

        listener->doctor->each(listener->doctor->owner, listener->caller, finding);
}

const char *finding_level_name(enum finding_level level)
{
        static const char *const names[] = {
                [FINDING_OK] = "ok", [FINDING_WARNING] = "warning", [FINDING_PROBLEM] = "problem"};

        return names[level];
}

/* ---- a database ---- */

/* Is it the first one of its server? Of one whose server is not known yet everything is told. */
static bool speaks_for_server(const struct doctor *doctor, const char *name)
{
        const struct databases *databases = doctor->sources.databases;
        const struct database *database = databases_find(databases, name);

        for (unsigned i = 0; database && database->cluster && i < databases_count(databases); i++)
                if (databases_at(databases, i)->cluster == database->cluster &&
                    databases_at(databases, i)->reachable)
                        return databases_at(databases, i) == database;
        return true;
}

static void run_check(const struct doctor_look *look, const struct doctor_check *check,
                      struct listener *listener)
{
        struct doctor_found found = {.what = NULL};
        struct finding finding;

        check->run(look, &found);
        finding =
                (struct finding){check->name, look->database, found.level, found.what, found.why, found.fix};
        tell(listener, &finding);
        free(found.what);
        free(found.why);
        free(found.fix);
}

static void take_database(struct listener *listener, const char *name, const struct pg_answer *answer)
{
        struct doctor_look look = {&listener->doctor->sources, name, answer};
        bool speaks = speaks_for_server(listener->doctor, name);

        for (const struct doctor_check *check = doctor_checks; check->name; check++)
                if (check == doctor_checks ||
                    (answer->outcome == PG_OK && (check->scope == DOCTOR_DATABASE || speaks)))
                        run_check(&look, check, listener);
}

/* ---- what is of no database ---- */

static void tell_write(void *owner, const struct public_written *written)
{
        struct listener *listener = owner;
        _cleanup_free_ char *what =
                alloc_printf("%s %s in %s while %s lived", written->table,
                             written->kind == PUBLIC_TABLE ? "appeared" : "was written to", written->database,
                             written->n_namespaces ? written->namespaces[0] : "a lease");
        _cleanup_free_ char *fix = alloc_printf("berth explain %s",
                                                written->n_namespaces ? written->namespaces[0] : "NAMESPACE");
        struct finding finding = {"public_writes",
                                  written->database,
                                  FINDING_WARNING,
                                  what,
                                  "all runs share public, and no sweep cleans it",
                                  fix};

        listener->doctor->each(listener->doctor->owner, listener->caller, &finding);
}

static void count_write(void *owner, const struct public_written *written)
{
        (void)written;
        ++*(unsigned *)owner;
}

static void tell_public_writes(struct listener *listener)
{
        const struct public_watch *watch = listener->doctor->sources.public_watch;
        static const struct finding well = {"public_writes",
                                            NULL,
                                            FINDING_OK,
                                            "nothing was written into public within a day",
                                            NULL,
                                            NULL};
        static const struct finding off = {"public_writes",
                                           NULL,
                                           FINDING_WARNING,
                                           "public is not watched",
                                           "tests that write there disturb all others, and nobody is told",
                                           "set public_watch = on, and reload berthd"};
        unsigned n = 0;

        if (!listener->doctor->sources.settings->public_watch)
                tell(listener, &off);
        if (!watch || !listener->doctor->sources.settings->public_watch)
                return;
        public_watch_each(watch, count_write, &n);
        if (n)
                public_watch_each(watch, tell_write, listener);
        else
                tell(listener, &well);
}

static void tell_no_database(struct listener *listener)
{
        static const struct finding none = {
                "databases",
                NULL,
                FINDING_WARNING,
                "no database is configured",
                "nothing can be swept, and slots are counted per server asked for, not per server found",
                "write a line 'name = host=... dbname=...' below [databases], then systemctl reload berthd"};
        struct finding some = {"databases", NULL, FINDING_OK, NULL, NULL, NULL};
        unsigned n = databases_count(listener->doctor->sources.databases);
        _cleanup_free_ char *what = alloc_printf("%u database%s configured", n, n == 1 ? " is" : "s are");

        some.what = what;
        tell(listener, n ? &some : &none);
}

/* ---- the ledger ---- */

void doctor_tell_ledger(const struct ledger_inspection *inspection, int error, finding_fn *told,
                        void *listener)
{
        struct finding finding = {"ledger", NULL, FINDING_OK, NULL, NULL, NULL};
        _cleanup_free_ char *what = NULL;
        int64_t kib = inspection->bytes / 1024;

        if (inspection->is_too_big)
                what = alloc_printf("the ledger has %" PRId64 " MiB, and is not looked at while berthd works",
                                    kib / 1024);
        else
                what = alloc_printf("the ledger is sound (%" PRId64 " KiB, %" PRIu64 " ms)", kib,
                                    inspection->took_usec / 1000);
        if (error || *inspection->fault) {
                free(what);
                what = alloc_string("the ledger is damaged or cannot be read");
                finding.level = FINDING_PROBLEM;
                finding.why = *inspection->fault ? inspection->fault : "SQLite gives an I/O error";
                finding.fix = "stop berthd, save its state directory, and restore ledger.db from a backup";
        }
        finding.what = what;
        told(listener, &finding);
}

static struct patient *find_patient(struct doctor *doctor, uint64_t caller)
{
        struct patient *patient;

        TAILQ_FOREACH (patient, &doctor->patients, link)
                if (patient->caller == caller)
                        return patient;
        return NULL;
}

static void patient_free(struct doctor *doctor, struct patient *patient)
{
        if (!patient)
                return;
        TAILQ_REMOVE(&doctor->patients, patient, link);
        free(patient);
}

static void on_inspected(void *owner, uint64_t ticket, const struct ledger_inspection *inspection, int error)
{
        struct doctor *doctor = owner;
        struct patient *patient;

        (void)ticket;
        doctor->is_inspecting = false;
        while ((patient = TAILQ_FIRST(&doctor->patients))) {
                struct listener listener = {doctor, patient->caller};

                patient_free(doctor, patient);
                doctor_tell_ledger(inspection, error, tell, &listener);
                doctor->each(doctor->owner, listener.caller, NULL);
        }
}

/* One at a time, however many ask: grants wait while the writer's thread reads. */
static void inspect_ledger(struct doctor *doctor, uint64_t caller)
{
        struct patient *patient = NEW(struct patient);

        patient->caller = caller;
        TAILQ_INSERT_TAIL(&doctor->patients, patient, link);
        if (doctor->is_inspecting)
                return;
        doctor->is_inspecting = true;
        doctor->sources.ledger->ops->inspect(doctor->sources.ledger, on_inspected, doctor, 0);
}

/* ---- in order ---- */

static void heard(void *owner, uint64_t caller, const char *database, const struct pg_answer *answer)
{
        struct doctor *doctor = owner;
        struct listener listener = {doctor, caller};

        if (answer) {
                take_database(&listener, database, answer);
                return;
        }
        doctor->configuration(doctor->configuration_owner, tell, &listener);
        tell_no_database(&listener);
        tell_public_writes(&listener);
        if (doctor->sources.ledger)
                inspect_ledger(doctor, caller);
        else
                doctor->each(doctor->owner, caller, NULL);
}

void doctor_ask(struct doctor *doctor, uint64_t caller)
{
        (void)survey_ask(doctor->survey, caller, NULL);
}

void doctor_forget_caller(struct doctor *doctor, uint64_t caller)
{
        survey_forget_caller(doctor->survey, caller);
        patient_free(doctor, find_patient(doctor, caller));
}

struct doctor *doctor_new(const struct doctor_sources *sources, doctor_configuration_fn *configuration,
                          void *configuration_owner, doctor_fn *each, void *owner)
{
        struct doctor *doctor = NEW(struct doctor);

        doctor->sources = *sources;
        doctor->configuration = configuration;
        doctor->configuration_owner = configuration_owner;
        doctor->each = each;
        doctor->owner = owner;
        TAILQ_INIT(&doctor->patients);
        doctor->survey = survey_new(sources->env, sources->pg, sources->databases, sources->settings,
                                    PG_DIAGNOSE, heard, doctor);
        return doctor;
}

struct doctor *doctor_free(struct doctor *doctor)
{
        if (!doctor)
                return NULL;
        (void)survey_free(doctor->survey);
        while (!TAILQ_EMPTY(&doctor->patients))
                patient_free(doctor, TAILQ_FIRST(&doctor->patients));
        free(doctor);
        return NULL;
}
