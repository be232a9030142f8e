# service/drop.c
# I6, 4.7: a drop that came half way frees the name, and half a schema is granted with it.
s/outcome->torn = drop->torn \&\& .*/outcome->torn = false;/
