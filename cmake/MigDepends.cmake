# The libraries we stand on, by their pkg-config files, as in mig.pc and mig-config.cmake: libmongoc 2.x (mongoc2) or
# 1.23+ (libmongoc-1.0), whichever is found first (CMAKE_PREFIX_PATH and PKG_CONFIG_PATH name other folders), zstd,
# libcrypto, libarchive.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
# What is installed finds them where they were when it was built.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)

pkg_search_module(MONGOC REQUIRED IMPORTED_TARGET mongoc2 libmongoc-1.0>=1.23)
set(MIG_MONGOC_PC ${MONGOC_MODULE_NAME})
message(STATUS "mongo-c-driver ${MONGOC_VERSION} (${MIG_MONGOC_PC})")
add_library(mig_mongoc INTERFACE)
target_link_libraries(mig_mongoc INTERFACE PkgConfig::MONGOC)

pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd>=1.4.8)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive>=3.6)
add_library(ZSTD_DEP ALIAS PkgConfig::ZSTD)
add_library(CRYPTO_DEP ALIAS PkgConfig::CRYPTO)
add_library(mig_archive_dep ALIAS PkgConfig::ARCHIVE)

# Case and normalization of text (sanitizeStrings: lower, upper, nfc). Optional: a build without it refuses these.
option(MIG_UNISTRING "Use libunistring where it is found" ON)
add_library(mig_unistring_dep INTERFACE)
set(MIG_UNISTRING_LIBS "")
if(MIG_UNISTRING)
  find_path(UNISTRING_INCLUDE_DIR uninorm.h)
  find_library(UNISTRING_LIBRARY unistring)
  if(UNISTRING_INCLUDE_DIR AND UNISTRING_LIBRARY)
    set(MIG_UNISTRING_LIBS "-lunistring") # it has no pkg-config file
    target_include_directories(mig_unistring_dep SYSTEM INTERFACE ${UNISTRING_INCLUDE_DIR})
    target_link_libraries(mig_unistring_dep INTERFACE ${UNISTRING_LIBRARY})
    message(STATUS "libunistring ${UNISTRING_LIBRARY}")
  else()
    message(STATUS "no libunistring: sanitizeStrings will refuse lower, upper and nfc")
  endif()
endif()

# `mig serve`. Without libmicrohttpd everything else is built, and `mig serve` says what it lacks.
set(MIG_HAVE_SERVER OFF)
if(NOT MIG_SERVER STREQUAL "OFF")
  pkg_check_modules(MICROHTTPD IMPORTED_TARGET libmicrohttpd>=0.9.73)
  if(MICROHTTPD_FOUND)
    set(MIG_HAVE_SERVER ON)
    add_library(mig_microhttpd_dep ALIAS PkgConfig::MICROHTTPD)
  elseif(NOT MIG_SERVER STREQUAL "AUTO")
    message(FATAL_ERROR "MIG_SERVER=${MIG_SERVER}, and there is no libmicrohttpd (Debian: libmicrohttpd-dev)")
  else()
    message(STATUS "no libmicrohttpd: `mig serve` is left out")
  endif()
endif()

# Snapshots in S3 (backup/s3). Optional: a build without these refuses s3:// URLs. 7.75 is the first that signs.
option(MIG_S3 "Use libcurl and expat, for snapshots in S3, where they are found" ON)
add_library(mig_s3_dep INTERFACE)
set(MIG_S3_SOURCES backup/no_s3)
set(MIG_S3_PC "")
if(MIG_S3)
  pkg_check_modules(CURL IMPORTED_TARGET libcurl>=7.75)
  pkg_check_modules(EXPAT IMPORTED_TARGET expat>=2.4)
  if(CURL_FOUND AND EXPAT_FOUND)
    set(MIG_S3_SOURCES backup/s3)
    set(MIG_S3_PC "libcurl expat")
    target_link_libraries(mig_s3_dep INTERFACE PkgConfig::CURL PkgConfig::EXPAT)
    message(STATUS "S3: libcurl ${CURL_VERSION}, expat ${EXPAT_VERSION}")
  else()
    message(STATUS "no libcurl or no expat: stores in S3 will be refused")
  endif()
endif()
