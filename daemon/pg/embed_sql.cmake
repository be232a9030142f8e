# SPDX-License-Identifier: MIT
# cmake -DSQL=in.sql -DOUT=out.c -DNAME=symbol -P embed_sql.cmake: the text of a file, without its comment lines, as C.
file(READ ${SQL} text)
string(REGEX REPLACE "(^|\n) *--[^\n]*" "" text "${text}")
string(STRIP "${text}" text)
string(REPLACE "\\" "\\\\" text "${text}")
string(REPLACE "\"" "\\\"" text "${text}")
string(REPLACE "\n" "\\n\"\n\"" text "${text}")
file(WRITE ${OUT} "#include \"pg/questions_sql.h\"\n\nconst char ${NAME}[] =\n\"${text}\";\n")
