# The templates of `mig create` become part of the program: migrations/templates/NAME.json as bytes in one C file.
file(GLOB templates CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/migrations/templates/*.json)
set(rows)
set(texts)
foreach(file ${templates})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  get_filename_component(name ${file} NAME_WE)
  string(MAKE_C_IDENTIFIER ${name} id)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND texts "static const unsigned char ${id}[] = {${bytes}0};\n")
  string(APPEND rows "  {\"${name}\", (const char *)${id}},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/templates_data.c CONTENT
"/* Made by cmake/MigTemplates.cmake from migrations/templates. */
#include \"migrations/templates.h\"

${texts}
const mig_template_row mig_template_table[] = {
${rows}  {0},
};
" @ONLY)
