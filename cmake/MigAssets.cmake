# The dashboard and openapi.json become part of the program: engine/server/assets as bytes in one C file.
set(type_html "text/html; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_svg image/svg+xml)
set(type_json application/json)
file(GLOB assets CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/engine/server/assets/*)
set(rows)
set(texts)
foreach(file ${assets})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  get_filename_component(name ${file} NAME)
  get_filename_component(ext ${file} LAST_EXT)
  string(SUBSTRING ${ext} 1 -1 ext)
  string(MAKE_C_IDENTIFIER ${name} id)
  file(SHA256 ${file} hash)
  string(SUBSTRING ${hash} 0 16 hash)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(REPLACE "index.html" "" path ${name})
  string(APPEND texts "static const unsigned char ${id}[] = {${bytes}};\n")
  string(APPEND rows "  {\"/${path}\", \"${type_${ext}}\", \"\\\"${hash}\\\"\", ${id}, sizeof ${id}},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/assets_data.c CONTENT
"/* Made by cmake/MigAssets.cmake from engine/server/assets. */
#include \"server/server_internal.h\"

${texts}
const mig_asset mig_assets[] = {
${rows}  {0},
};
" @ONLY)
