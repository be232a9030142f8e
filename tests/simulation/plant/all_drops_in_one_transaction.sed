# service/sweep.c
# R10, as in the first seed document: what fails or is kept takes the drops of all others back with it.
s/^        if (outcome->ledger_failed)$/        if (outcome->verdict != SWEEP_DROPPED)/
