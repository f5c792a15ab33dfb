# mig_embed(FOLDER file... ): files that become part of the program, as text in one C file; see migrations/embedded.h.
# mig_embed_write(OUT) ends the list.
set(MIG_EMBEDDED_ROWS)
set(MIG_EMBEDDED_TEXTS)
macro(mig_embed folder)
  foreach(file ${ARGN})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME)
    string(MAKE_C_IDENTIFIER "${folder}_${name}" id)
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(APPEND MIG_EMBEDDED_TEXTS "static const unsigned char ${id}[] = {${bytes}0};\n")
    string(APPEND MIG_EMBEDDED_ROWS "  {\"${folder}\", \"${name}\", (const char *)${id}, sizeof ${id} - 1},\n")
  endforeach()
endmacro()
function(mig_embed_write out)
  file(CONFIGURE OUTPUT ${out} CONTENT
"/* Made by cmake/MigEmbedded.cmake. */
#include \"migrations/embedded.h\"

${MIG_EMBEDDED_TEXTS}
const mig_embedded mig_embedded_files[] = {
${MIG_EMBEDDED_ROWS}  {0},
};
" @ONLY)
endfunction()

file(GLOB templates CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/migrations/templates/*.json ${CMAKE_SOURCE_DIR}/migrations/templates/*.c)
set(public_headers ${CMAKE_SOURCE_DIR}/engine/mig.h ${CMAKE_SOURCE_DIR}/engine/mig_module.h)
mig_embed(templates ${templates})
mig_embed(include ${public_headers})
mig_embed(workflows ${CMAKE_SOURCE_DIR}/.github/workflows/migration-ci.yml)
mig_embed_write(${CMAKE_BINARY_DIR}/embedded_files.c)
