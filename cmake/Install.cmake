# What `cmake --install` puts where: programs, manual pages, completions, the systemd unit.
include(GNUInstallDirs)

option(TURNKIT_COTURN_ALIASES "Install turnserver too, as another name of turnd" OFF)
set(TURNKIT_UNIT_DIR lib/systemd/system CACHE STRING "Where systemd units go, below the prefix unless absolute")
set(TURNKIT_SYSUSERS_DIR lib/sysusers.d CACHE STRING "Where sysusers.d files go, below the prefix unless absolute")
set(completions ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)

install(TARGETS turnd turn-probe RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES man/turnd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES man/turnd.conf.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES man/turn-probe.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES completion/turnd.bash DESTINATION ${completions} RENAME turnd)
install(FILES completion/turn-probe.bash DESTINATION ${completions} RENAME turn-probe)
install(FILES deploy/systemd/turnd.sysusers.conf DESTINATION ${TURNKIT_SYSUSERS_DIR} RENAME turnd.conf)

# The unit names the program by its path, which is known only now: `cmake --install --prefix` may change it.
install(CODE "
  get_filename_component(TURNKIT_BINDIR \"${CMAKE_INSTALL_BINDIR}\" ABSOLUTE BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")
  get_filename_component(unit_dir \"${TURNKIT_UNIT_DIR}\" ABSOLUTE BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")
  configure_file(\"${PROJECT_SOURCE_DIR}/deploy/systemd/turnd.service.in\" \"${PROJECT_BINARY_DIR}/turnd.service\" @ONLY)
  file(INSTALL DESTINATION \"\${unit_dir}\" TYPE FILE FILES \"${PROJECT_BINARY_DIR}/turnd.service\")")

# A component of its own: `cmake --install BUILD --component coturn_aliases` adds it to an installation. turn-admin takes
# turnadmin's place where it is built; until then coturn's own keeps its name.
set(when EXCLUDE_FROM_ALL)
if(TURNKIT_COTURN_ALIASES)
  set(when "")
endif()
file(CONFIGURE OUTPUT aliases/turnserver.1 CONTENT ".so man8/turnd.8\n")
file(CONFIGURE OUTPUT aliases/turnserver.conf.5 CONTENT ".so man5/turnd.conf.5\n")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/aliases/turnserver.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
  COMPONENT coturn_aliases ${when})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/aliases/turnserver.conf.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5
  COMPONENT coturn_aliases ${when})
install(FILES completion/turnd.bash DESTINATION ${completions} RENAME turnserver COMPONENT coturn_aliases ${when})
install(CODE "
  get_filename_component(bin_dir \"${CMAKE_INSTALL_BINDIR}\" ABSOLUTE BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")
  message(STATUS \"Installing: \$ENV{DESTDIR}\${bin_dir}/turnserver\")
  file(MAKE_DIRECTORY \"\$ENV{DESTDIR}\${bin_dir}\")
  file(CREATE_LINK turnd \"\$ENV{DESTDIR}\${bin_dir}/turnserver\" SYMBOLIC)" COMPONENT coturn_aliases ${when})
