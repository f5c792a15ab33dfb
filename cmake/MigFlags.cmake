# Warnings, sanitizers and hardening for everything we compile; carried by one interface target.
add_library(mig_flags INTERFACE)
target_compile_options(mig_flags INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla
                                           -fno-strict-aliasing)
if(MIG_WERROR)
  target_compile_options(mig_flags INTERFACE -Werror)
endif()
# POSIX.1-2008 and what glibc adds to it (strptime is not used; fileno, fsync, openat, getline are).
target_compile_definitions(mig_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64 MIG_VERSION="${PROJECT_VERSION}"
                           MIG_INSTALLED_PROGRAM="${CMAKE_INSTALL_FULL_BINDIR}/mig")
target_include_directories(mig_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/engine)

if(MIG_FUZZ) # coverage feedback in everything; only the fuzz targets get libFuzzer's main
  target_compile_options(mig_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(mig_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(MIG_SANITIZE)
  target_compile_options(mig_flags INTERFACE -fsanitize=${MIG_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(mig_flags INTERFACE -fsanitize=${MIG_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(mig_flags INTERFACE -fstack-protector-strong -D_FORTIFY_SOURCE=2)
  target_link_options(mig_flags INTERFACE -Wl,-z,relro -Wl,-z,now)
endif()
if(MIG_COVERAGE)
  target_compile_options(mig_flags INTERFACE --coverage)
  target_link_options(mig_flags INTERFACE --coverage)
endif()
if(MIG_CRASH_POINTS)
  target_compile_definitions(mig_flags INTERFACE MIG_CRASH_POINTS=1)
endif()
