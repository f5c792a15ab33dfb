# The man page and the completion scripts are written by the program itself, from its tables, and installed.
set(generated ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${generated})
function(mig_generated file folder name)
  list(JOIN ARGN " " command)
  add_custom_command(OUTPUT ${generated}/${file} DEPENDS mig VERBATIM
    COMMAND sh -c "\"$1\" $2 >\"$3.new\" && mv \"$3.new\" \"$3\"" sh $<TARGET_FILE:mig> "${command}" ${generated}/${file})
  install(FILES ${generated}/${file} DESTINATION ${folder} RENAME ${name})
endfunction()
mig_generated(mig.1 ${CMAKE_INSTALL_MANDIR}/man1 mig.1 help man)
mig_generated(mig.bash ${CMAKE_INSTALL_DATADIR}/bash-completion/completions mig completion bash)
mig_generated(mig.zsh ${CMAKE_INSTALL_DATADIR}/zsh/site-functions _mig completion zsh)
mig_generated(mig.fish ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d mig.fish completion fish)
add_custom_target(generated ALL DEPENDS ${generated}/mig.1 ${generated}/mig.bash ${generated}/mig.zsh ${generated}/mig.fish)
