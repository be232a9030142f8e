# SPDX-License-Identifier: MIT
# cmake -DOUTPUT=idl.c -DFOLDER=proto -DINTERFACES="a b" -P idl.cmake: the files as string literals, line by line.
separate_arguments(INTERFACES)
set(names "")
set(rows "")
foreach(interface IN LISTS INTERFACES)
        file(READ "${FOLDER}/${interface}.varlink" text)
        string(REPLACE "\\" "\\\\" text "${text}")
        string(REPLACE "\"" "\\\"" text "${text}")
        string(REPLACE "\n" "\\n\"\n        \"" text "${text}")
        string(APPEND names "        \"${interface}\",\n")
        string(APPEND rows "        \"${text}\",\n")
endforeach()

file(WRITE "${OUTPUT}" "/* Made by proto/idl.cmake. */
#include \"proto/idl.h\"

#include <stddef.h>
#include <string.h>

const char *const idl_interfaces[] = {
${names}        NULL,
};

static const char *const texts[] = {
${rows}};

const char *idl_text(const char *interface)
{
        for (size_t i = 0; idl_interfaces[i]; i++)
                if (strcmp(idl_interfaces[i], interface) == 0)
                        return texts[i];
        return NULL;
}
")
