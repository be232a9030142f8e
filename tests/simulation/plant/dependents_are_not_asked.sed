# service/drop_steps.c
# I9: CASCADE reaches into somebody else's schema.
s/^        if (dependents) {$/        if (false) {/
