# service/slot_drain.c
# §5: a dead holder's slot is handed on while its CREATE TABLEs still hold their locks.
/^void slot_orphan/,/^}/s/if (record->notice != SLOT_TELL_GRANTED)/if (!record->slots)/
