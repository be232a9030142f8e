/* SPDX-License-Identifier: MIT */
#include "service/explain.h"

#include "proto/json.h"
#include "service/survey.h"
#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* One that is being put together. */
struct question {
        TAILQ_ENTRY(question) link; /* explainer::questions */
        uint64_t ticket;            /* the ledger's: a caller's number may come again */
        bool ledger_told, databases_told;
        struct explanation explanation;
};

struct explainer {
        struct explain_tools tools;
        struct ledger *ledger;
        struct survey *survey;
        struct timer *timer; /* for those whose name needs no look */
        explain_fn *told;
        void *owner;
        uint64_t last_ticket;
        TAILQ_HEAD(question_list, question) questions;
};

/* ---- one explanation ---- */

static void schema_clear(struct explain_schema *schema)
{
        for (unsigned i = 0; i < schema->n_verdicts; i++) {
                struct explain_verdict *verdict = &schema->verdicts[i];

                free(verdict->oid);
                free(verdict->verdict);
                free(verdict->reason);
                free(verdict->sqlstate);
                free(verdict->detail);
        }
        free(schema->verdicts);
        free(schema->database);
        free(schema->schema);
        free(schema->oid);
}

static void explanation_clear(struct explanation *e)
{
        for (unsigned i = 0; i < e->n_leases; i++) {
                free(e->leases[i].label);
                free(e->leases[i].how);
                free(e->leases[i].reason);
        }
        for (unsigned i = 0; i < e->n_schemas; i++)
                schema_clear(&e->schemas[i]);
        for (unsigned i = 0; i < e->n_unheard; i++) {
                free(e->unheard[i].database);
                free(e->unheard[i].message);
        }
        for (unsigned i = 0; i < e->n_written; i++) {
                free(e->written[i].database);
                free(e->written[i].what);
        }
        free(e->leases);
        free(e->schemas);
        free(e->written);
        free(e->unheard);
        json_free(e->sweep);
        free(e->name);
        free(e->text);
        free(e->advice);
}

static enum explain_kind parse(const char *name, struct berth_name *ret)
{
        *ret = (struct berth_name){.suffix = ""};
        if (names_parse_schema(name, ret))
                return EXPLAIN_SCHEMA;
        if (names_parse_application_name(name, ret))
                return EXPLAIN_APPLICATION_NAME;
        *ret = (struct berth_name){.suffix = ""};
        if (!names_check_namespace(name, NULL))
                return EXPLAIN_OTHER;
        (void)memcpy(ret->namespace, name, strlen(name) + 1);
        return EXPLAIN_NAMESPACE;
}

bool explain_concerns(const struct explanation *e, const char *schema)
{
        struct berth_name parsed;

        if (!names_parse_schema(schema, &parsed) || strcmp(parsed.namespace, e->parsed.namespace) != 0)
                return false;
        if (e->kind == EXPLAIN_SCHEMA)
                return !strcmp(schema, e->name);
        return e->kind == EXPLAIN_NAMESPACE || !strcmp(parsed.worker, e->parsed.worker);
}

struct explain_schema *explain_schema_at(struct explanation *e, const char *database, const char *schema)
{
        for (unsigned i = 0; i < e->n_schemas; i++)
                if (!strcmp(e->schemas[i].schema, schema) && !strcmp(e->schemas[i].database, database))
                        return &e->schemas[i];
        e->schemas = alloc_array(e->schemas, e->n_schemas + 1, sizeof(*e->schemas));
        e->schemas[e->n_schemas] =
                (struct explain_schema){.database = alloc_string(database), .schema = alloc_string(schema)};
        return &e->schemas[e->n_schemas++];
}

/* ---- what the ledger remembers ---- */

static struct explain_lease *lease_at(struct explanation *e, int64_t id)
{
        for (unsigned i = 0; i < e->n_leases; i++)
                if (e->leases[i].id == id)
                        return &e->leases[i];
        e->leases = alloc_array(e->leases, e->n_leases + 1, sizeof(*e->leases));
        e->leases[e->n_leases] = (struct explain_lease){.id = id, .exit_status = -1};
        return &e->leases[e->n_leases++];
}

static void add_lease(struct explanation *e, const struct ledger_change *row)
{
        struct explain_lease *lease = lease_at(e, row->lease);
        bool has_ended = row->kind == LEDGER_LEASE_ENDED;

        lease->label = alloc_string(row->label);
        lease->uid = row->uid;
        lease->forced = row->forced;
        lease->since_usec = has_ended ? row->since_usec : row->time_usec;
        if (!has_ended)
                return;
        lease->how = alloc_string(row->detail);
        lease->reason = alloc_string(row->reason);
        lease->exit_status = row->exit_status;
        lease->ended_usec = row->time_usec;
}

static void count_member(struct explanation *e, const struct ledger_change *row)
{
        for (unsigned i = 0; i < e->n_leases; i++)
                if (e->leases[i].id == row->lease)
                        e->leases[i].n_joined++;
}

static void add_mark(struct explanation *e, const struct ledger_change *row)
{
        struct explain_schema *schema;

        if (!explain_concerns(e, row->schema))
                return;
        schema = explain_schema_at(e, row->database, row->schema);
        if (row->kind == LEDGER_CLAIMED)
                schema->claimed = true;
        else
                schema->first_seen_usec = row->time_usec;
}

static void add_written(struct explanation *e, const struct ledger_change *row)
{
        e->written = alloc_array(e->written, e->n_written + 1, sizeof(*e->written));
        e->written[e->n_written++] = (struct explain_written){.lease = row->lease,
                                                              .database = alloc_string(row->database),
                                                              .what = alloc_string(row->detail),
                                                              .time_usec = row->time_usec};
}

static void add_sweep(struct explanation *e, const struct ledger_change *row)
{
        char message[JSON_MESSAGE_SIZE];

        if (row->detail)
                e->sweep = json_parse(row->detail, strlen(row->detail), message);
}

static void add_row(struct explanation *e, const struct ledger_change *row)
{
        static void (*const takers[LEDGER_CHANGE_MAX_])(struct explanation *,
                                                        const struct ledger_change *) = {
                [LEDGER_LEASE_GRANTED] = add_lease,
                [LEDGER_LEASE_ENDED] = add_lease,
                [LEDGER_MEMBER_JOINED] = count_member,
                [LEDGER_SIGHTED] = add_mark,
                [LEDGER_CLAIMED] = add_mark,
                [LEDGER_VERDICT] = explain_add_verdict,
                [LEDGER_SWEPT] = add_sweep,
                [LEDGER_PUBLIC_WRITTEN] = add_written,
        };

        if (takers[row->kind])
                takers[row->kind](e, row);
}

/* ---- what the databases list ---- */

static void add_listed(struct explanation *e, const char *database, const struct pg_answer *answer)
{
        for (unsigned i = 0; i < answer->n_rows; i++) {
                struct explain_schema *schema;

                if (!explain_concerns(e, pg_cell(answer, i, 0)))
                        continue;
                schema = explain_schema_at(e, database, pg_cell(answer, i, 0));
                free(schema->oid);
                schema->oid = alloc_string(pg_cell(answer, i, 1));
        }
}

static void add_unheard(struct explanation *e, const char *database, const char *message)
{
        e->unheard = alloc_array(e->unheard, e->n_unheard + 1, sizeof(*e->unheard));
        e->unheard[e->n_unheard++] = (struct explain_unheard){.database = alloc_string(database),
                                                              .message = alloc_string(message)};
}

/* ---- putting it together ---- */

static void question_free(struct explainer *explainer, struct question *question)
{
        TAILQ_REMOVE(&explainer->questions, question, link);
        explanation_clear(&question->explanation);
        free(question);
}

static void finish(struct explainer *explainer, struct question *question, int error)
{
        struct explanation *e = &question->explanation;

        if (!error) {
                explain_judge(e, &explainer->tools);
                explain_answer(e, &explainer->tools);
        }
        explainer->told(explainer->owner, e->caller, error ? NULL : e, error);
        question_free(explainer, question);
}

static void settle(struct explainer *explainer, struct question *question)
{
        if (question->ledger_told && question->databases_told)
                finish(explainer, question, 0);
}

static struct question *of_caller(struct explainer *explainer, uint64_t caller)
{
        struct question *question;

        TAILQ_FOREACH (question, &explainer->questions, link)
                if (question->explanation.caller == caller)
                        return question;
        return NULL;
}

static void on_row(void *owner, uint64_t ticket, const struct ledger_change *row, int error)
{
        struct explainer *explainer = owner;
        struct question *question;

        TAILQ_FOREACH (question, &explainer->questions, link)
                if (question->ticket == ticket)
                        break;
        if (!question)
                return;
        if (row) {
                add_row(&question->explanation, row);
                return;
        }
        if (error) {
                survey_forget_caller(explainer->survey, question->explanation.caller);
                finish(explainer, question, error);
                return;
        }
        question->ledger_told = true;
        settle(explainer, question);
}

static void on_heard(void *owner, uint64_t caller, const char *database, const struct pg_answer *answer)
{
        struct explainer *explainer = owner;
        struct question *question = of_caller(explainer, caller);

        if (!question)
                return;
        if (!answer) {
                question->databases_told = true;
                settle(explainer, question);
        } else if (answer->outcome == PG_OK) {
                add_listed(&question->explanation, database, answer);
        } else {
                add_unheard(&question->explanation, database, answer->message);
        }
}

/* Those that are no names of ours: nobody need be asked. */
static void on_timer(void *owner)
{
        struct explainer *explainer = owner;
        struct question *question, *next;

        for (question = TAILQ_FIRST(&explainer->questions); question; question = next) {
                next = TAILQ_NEXT(question, link);
                settle(explainer, question);
        }
}

void explainer_ask(struct explainer *explainer, uint64_t caller, const char *name)
{
        struct question *question = NEW(struct question);
        struct explanation *e = &question->explanation;

        e->caller = caller;
        e->name = alloc_string(name);
        e->kind = parse(name, &e->parsed);
        question->ticket = ++explainer->last_ticket;
        TAILQ_INSERT_TAIL(&explainer->questions, question, link);
        if (e->kind == EXPLAIN_OTHER) {
                question->ledger_told = question->databases_told = true;
                explainer->tools.env->ops->timer_arm(explainer->timer, 0);
                return;
        }
        explainer->ledger->ops->recall(explainer->ledger, e->parsed.namespace, on_row, explainer,
                                       question->ticket);
        (void)survey_ask(explainer->survey, caller, NULL);
}

void explainer_forget_caller(struct explainer *explainer, uint64_t caller)
{
        struct question *question = of_caller(explainer, caller);

        survey_forget_caller(explainer->survey, caller);
        if (question)
                question_free(explainer, question);
}

struct explainer *explainer_new(struct env *env, struct pg *pg, struct ledger *ledger,
                                struct databases *databases, struct leases *leases, struct sweeper *sweeper,
                                const struct settings *settings, explain_fn *told, void *owner)
{
        struct explainer *explainer = NEW(struct explainer);

        *explainer = (struct explainer){
                .tools = {.env = env, .leases = leases, .sweeper = sweeper, .settings = settings},
                .ledger = ledger,
                .told = told,
                .owner = owner};
        explainer->survey = survey_new(env, pg, databases, settings, PG_SCHEMAS, on_heard, explainer);
        explainer->timer = env->ops->timer_new(env, on_timer, explainer);
        TAILQ_INIT(&explainer->questions);
        return explainer;
}

struct explainer *explainer_free(struct explainer *explainer)
{
        struct question *question;

        if (!explainer)
                return NULL;
        while ((question = TAILQ_FIRST(&explainer->questions)))
                question_free(explainer, question);
        survey_free(explainer->survey);
        explainer->tools.env->ops->timer_free(explainer->timer);
        free(explainer);
        return NULL;
}
