# libmig, static and shared, from the same objects as the layers below the command line; with its CMake package and
# pkg-config file. Users include <mig.h> only.
include(CMakePackageConfigHelpers)
set(objects)
foreach(layer base backup validators migrations run)
  list(APPEND objects $<TARGET_OBJECTS:mig_${layer}>)
endforeach()
foreach(kind STATIC SHARED)
  string(TOLOWER ${kind} lower)
  add_library(libmig_${lower} ${kind} ${objects})
  set_target_properties(libmig_${lower} PROPERTIES OUTPUT_NAME mig EXPORT_NAME ${lower} LINKER_LANGUAGE C
                        VERSION ${PROJECT_VERSION} SOVERSION 0)
  target_link_libraries(libmig_${lower} PRIVATE mig_flags PUBLIC mig_mongoc PRIVATE PkgConfig::ZSTD PkgConfig::CRYPTO
                        PkgConfig::ARCHIVE PkgConfig::ZLIB mig_unistring_dep mig_s3_dep Threads::Threads ${CMAKE_DL_LIBS})
  target_include_directories(libmig_${lower} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
install(TARGETS libmig_static libmig_shared
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${public_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
configure_file(cmake/mig-config.cmake.in ${CMAKE_BINARY_DIR}/mig-config.cmake @ONLY)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/mig-config-version.cmake COMPATIBILITY SameMinorVersion)
configure_file(cmake/mig.pc.in ${CMAKE_BINARY_DIR}/mig.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/mig-config.cmake ${CMAKE_BINARY_DIR}/mig-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mig)
install(FILES ${CMAKE_BINARY_DIR}/mig.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
