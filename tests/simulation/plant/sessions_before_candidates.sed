# service/census.c
# R3, the order of the first seed document: who is alive is asked before what there is to drop.
s/return target->listed ? &listed : &listing;/return \&looking;/
s/^        return &looked;/        return target->listed ? \&looked : \&listing;/
s/^        return &listed;/        return \&looked;/
