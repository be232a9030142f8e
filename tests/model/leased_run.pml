/* SPDX-License-Identifier: MIT */
/*
 * Runs with leases, a daemon that may be killed at any step, and drops that outlive it.
 *
 * Runs, each leasing its namespace again and again by force; schemas in two databases of two clusters; the daemon's
 * memory and its ledger; kill -9; sweeps one after the other; and servers that carry out what was sent to them at any
 * later time, whether the daemon lives or not. The runs hold no session but for moments (NullPool): it is the lease
 * that carries safety.
 *
 *      asserted        no drop hits a schema whose namespace is granted
 *      besides         nobody waits for ever (an invalid end state)
 *
 * Switches; tests/model/run says what each has to come to. Each turns one protection off:
 *
 *      WRITEAHEAD=0    the reply first, the ledger after it                            counterexample
 *      KEEPLEASES=0    leases are forgotten at a restart                               counterexample
 *      PENDING=0       a grant that the ledger has not confirmed is no lease yet       counterexample
 *      CLAIM=0         the ledger is not asked again, and no grant is held up          counterexample
 *      CLAIMWAIT=0     a drop is sent before its claim is on the disk                  counterexample
 *      CLAIMDUR=0      claims are forgotten at a restart                               counterexample
 *      ORPHANS=0       a claim is freed while a backend of a former life may be at it  counterexample
 *      AFTERMATH=0     a lost connection is taken for the end of the drop, or its
 *                      backend is looked for on a server that cannot show it           counterexample
 *      CANDFIRST=0     candidates and sessions of a database are read together         none
 *      UNION=0         each database is judged by its own sessions alone               none
 *      FAILCLOSED=0    a database that did not answer has no sessions                  none
 *      FRESH=0         a census from before the end of a lease will do                 none
 *      OIDFENCE=0      a drop takes the name, not the schema that was listed           none
 *
 * The last five do not weaken leased runs: there the lease and the durable claim suffice. They guard runs without a
 * lease (unleased_run.pml), backends that a dead run left behind, and schemas made anew under the same name.
 *
 * Sizes: RUNS, USES, SWEEPS, KILLS. See a counterexample: spin -t -p -g -DPENDING=0 leased_run.pml
 *
 * Left out: time and so every grace, slots, Release (an end is an end), a ledger that fails. DROP and COMMIT are one
 * message here, which a server may get to at any time: more than the daemon permits, whose DROP is rolled back when it
 * dies before the COMMIT. So is the pin: the oid is compared when the drop takes effect.
 */
#ifndef WRITEAHEAD
#define WRITEAHEAD 1
#endif
#ifndef KEEPLEASES
#define KEEPLEASES 1
#endif
#ifndef PENDING
#define PENDING 1
#endif
#ifndef CLAIM
#define CLAIM 1
#endif
#ifndef CLAIMWAIT
#define CLAIMWAIT 1
#endif
#ifndef CLAIMDUR
#define CLAIMDUR 1
#endif
#ifndef ORPHANS
#define ORPHANS 1
#endif
#ifndef AFTERMATH
#define AFTERMATH 1
#endif
#ifndef CANDFIRST
#define CANDFIRST 1
#endif
#ifndef UNION
#define UNION 1
#endif
#ifndef FAILCLOSED
#define FAILCLOSED 1
#endif
#ifndef FRESH
#define FRESH 1
#endif
#ifndef OIDFENCE
#define OIDFENCE 1
#endif

#ifndef RUNS
#define RUNS 2                  /* each with a namespace of its own */
#endif
#ifndef USES
#define USES 2                  /* how often each namespace is leased */
#endif
#ifndef SWEEPS
#define SWEEPS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif

#define DBS 2
#define AT(r, d) ((r) * DBS + (d))
#define ALL (RUNS * DBS)

/* the daemon */
bool up = 1;
byte epoch;                     /* life of the daemon: what a former one began is void */
mtype = { IDLE, GRANTING, DURABLE, TOLD };
mtype grant[RUNS] = IDLE;       /* how far the grant of this namespace has come: service/lease_grant.c */
bool lease[RUNS];               /* service/lease_memory.c, leases_standing(): live or recovering */
bool ledger[RUNS];              /* store/: the lease is on the disk */
bool claim[RUNS];               /* service/lease_memory.c, leases_claim(): granted to nobody */
bool ledger_claim[RUNS];        /* store/: and that is on the disk */
byte claim_epoch[RUNS];

/* the runs */
bool asks[RUNS], granted[RUNS], alive[RUNS];
bool ended_since[RUNS];         /* a lease ended after the census began: service/sweep.c, is_stale() */

/* the servers */
bool schema[ALL], session[ALL];
byte oid[ALL];
bool drop_sent[ALL];            /* the server has it and will carry it out at some time */
byte drop_oid[ALL];

/* client/, pytest: Acquire, again with the same request after a lost reply; schemas; moments of sessions; death. */
proctype Run(byte r)
{
        byte uses, d;
again:
        atomic { up -> asks[r] = 1 }
        do
        :: atomic { granted[r] -> granted[r] = 0; alive[r] = 1; break }
        :: atomic { !up && asks[r] -> asks[r] = 0; goto again }
        od;
        d = 0;
        do
        :: d < DBS -> atomic {
                if
                :: !schema[AT(r, d)] -> schema[AT(r, d)] = 1; oid[AT(r, d)] = oid[AT(r, d)] + 1
                :: else
                fi;
                d++ }
        :: else -> break
        od;
        if :: session[AT(r, 0)] = 1; session[AT(r, 0)] = 0 :: skip fi;
        if :: session[AT(r, 1)] = 1; session[AT(r, 1)] = 0 :: skip fi;
        atomic { alive[r] = 0; uses++; d = 0 }
        if :: uses < USES -> goto again :: skip fi
}

proctype Daemon(byte n)
{
        do
        /* lease_queue.c, lease_queue_advance(); lease_grant.c, lease_grant() */
        :: atomic { up && grant[n] == IDLE && asks[n] && !claim[n] ->
                    grant[n] = GRANTING; if :: PENDING -> lease[n] = 1 :: else fi }
        /* store/writer.c commits */
        :: atomic { up && grant[n] == GRANTING -> lease[n] = 1;
                    if
                    :: WRITEAHEAD -> ledger[n] = 1; grant[n] = DURABLE
                    :: else -> asks[n] = 0; granted[n] = 1; grant[n] = TOLD
                    fi }
        /* lease_grant.c, on_granted() */
        :: atomic { up && grant[n] == DURABLE -> asks[n] = 0; granted[n] = 1; grant[n] = IDLE }
        :: atomic { up && grant[n] == TOLD -> ledger[n] = 1; grant[n] = IDLE }
        /* lease_members.c: every connection and every process is proven gone; lease_end.c */
        :: atomic { up && lease[n] && grant[n] == IDLE && !asks[n] && !granted[n] && !alive[n] ->
                    lease[n] = 0; ledger[n] = 0; ended_since[n] = 1 }
        /*
         * A claim of a former life is freed when none of its backends is there any more: census.c, take_sessions()
         * finds them by their label, the stage "ending" ends those of a life that is over and looks again, and
         * sightings.c, sightings_free_claims(), called by sweep.c, learn(), frees where no other sweep is connected.
         * Ending is no step of its own here: the server may get to what was sent at any time before.
         */
        :: atomic { up && claim[n] && claim_epoch[n] != epoch &&
                    (!ORPHANS || (!drop_sent[AT(n, 0)] && !drop_sent[AT(n, 1)])) ->
                    claim[n] = 0; ledger_claim[n] = 0 }
        :: timeout -> break
        od
}

/* kill -9 and a new start: lease_recovery.c, sweep.c, sweeper_load() */
proctype Lives()
{
        byte kills, n;

        do
        :: atomic { kills < KILLS && up -> up = 0; epoch++; kills++; n = 0;
                    do
                    :: n < RUNS -> lease[n] = 0; claim[n] = 0; grant[n] = IDLE; n++
                    :: else -> break
                    od }
        :: atomic { !up -> up = 1; n = 0;
                    do
                    :: n < RUNS ->
                        if :: KEEPLEASES -> lease[n] = ledger[n] :: else fi;
                        if :: CLAIMDUR -> claim[n] = ledger_claim[n] :: else -> ledger_claim[n] = 0 fi;
                        n++
                    :: else -> break
                    od;
                    n = 0 }
        :: up -> break
        od
}

proctype Server(byte x)
{
        do
        :: atomic { drop_sent[x] -> drop_sent[x] = 0;
                    if
                    :: schema[x] && (!OIDFENCE || oid[x] == drop_oid[x]) ->
                            assert(!alive[x / DBS] && !granted[x / DBS]); schema[x] = 0
                    :: else
                    fi;
                    drop_oid[x] = 0 }
        :: timeout -> break
        od
}

/* pg_namespace; census.c, take_schemas() */
inline list(d)
{
        r = 0;
        do
        :: r < RUNS -> if :: schema[AT(r, d)] -> cand[AT(r, d)] = oid[AT(r, d)] :: else fi; r++
        :: else -> break
        od;
        r = 0
}

/* pg_stat_activity; census.c, take_sessions() */
inline look(d)
{
        r = 0;
        do
        :: r < RUNS -> seen[r] = seen[r] || session[AT(r, d)]; r++
        :: else -> break
        od;
        r = 0
}

inline send(x)
{
        if :: cand[x] > 0 && !drop_sent[x] -> drop_sent[x] = 1; drop_oid[x] = cand[x] :: else fi
}

/* core/decide.c, and drop*.c from the claim to the proven end, for the databases lo to hi */
inline decide(lo, hi)
{
        r = 0;
        do
        :: r < RUNS ->
                if
                :: atomic { up && epoch == e && !(FAILCLOSED && incomplete) && !seen[r] &&
                            !(FRESH && ended_since[r]) && (CLAIM -> !lease[r] && !claim[r] : !leased[r]) ->
                            /* drop_start(): leases_claim(), and the claim is on its way to the disk */
                            if
                            :: CLAIM -> claim[r] = 1; claim_epoch[r] = e;
                                        if :: CLAIMWAIT -> skip :: else -> may_send = 1 fi
                            :: else -> may_send = 1
                            fi };
                   if
                   :: may_send -> skip
                   :: else -> if
                              :: atomic { epoch == e && up -> ledger_claim[r] = 1; may_send = 1 }
                              :: epoch != e || !up
                              fi
                   fi;
                   /* last_look(): the ledger again, in the turn that sends the DROP */
                   atomic { if
                            :: may_send && up && epoch == e && (!CLAIM || !lease[r]) ->
                               send(AT(r, lo));
                               if :: hi != lo -> send(AT(r, hi)) :: else fi
                            :: else
                            fi;
                            may_send = 0 };
                   /* settle(), if need be after aftermath_again(): the outcome is known */
                   if
                   :: CLAIM ->
                        if
                        :: atomic { epoch == e &&
                                    (!AFTERMATH || (!drop_sent[AT(r, lo)] && !drop_sent[AT(r, hi)])) ->
                                    claim[r] = 0; ledger_claim[r] = 0 }
                        :: epoch != e
                        fi
                   :: else
                   fi
                :: else
                fi;
                r++
        :: else -> break
        od;
        r = 0
}

/* sweep.c: one after the other */
proctype Sweeper()
{
        byte sweeps, e, d, r;
        bool incomplete, may_send, seen[RUNS], leased[RUNS];
        byte cand[ALL];

        do
        :: sweeps < SWEEPS && up ->
                atomic { sweeps++; e = epoch; d = 0;
                         do
                         :: r < RUNS -> leased[r] = lease[r]; ended_since[r] = 0; r++
                         :: else -> break
                         od;
                         r = 0 }
#if CANDFIRST
                do
                :: d < DBS -> if :: atomic { list(d) } :: incomplete = 1 fi; d++
                :: else -> break
                od;
                /* census.c, barrier(): who is alive is asked only now */
                atomic { d = 0;
                         do
                         :: r < RUNS -> ended_since[r] = 0; r++
                         :: else -> break
                         od;
                         r = 0 }
#endif
                do
                :: d < DBS ->
                        if
                        :: atomic { if :: !CANDFIRST -> list(d) :: else fi; look(d) }
                        :: incomplete = 1
                        fi;
#if !UNION
                        decide(d, d);
                        atomic { r = 0;
                                 do
                                 :: r < RUNS -> seen[r] = 0; r++
                                 :: else -> break
                                 od;
                                 r = 0 };
#endif
                        d++
                :: else -> break
                od;
#if UNION
                decide(0, 1);
#endif
                atomic { incomplete = 0; d = 0; e = 0;
                         do
                         :: r < RUNS -> seen[r] = 0; leased[r] = 0; cand[AT(r, 0)] = 0; cand[AT(r, 1)] = 0; r++
                         :: else -> break
                         od;
                         r = 0 }
        :: else -> break
        od
}

init {
        byte i;

        atomic {
                do
                :: i < RUNS -> run Run(i); run Daemon(i); run Server(AT(i, 0)); run Server(AT(i, 1)); i++
                :: else -> break
                od;
                i = 0;
                run Lives(); run Sweeper()
        }
}
