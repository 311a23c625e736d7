# SPDX-License-Identifier: MIT
# xhrd_man_page(NAME.SECTION.scd): built with scdoc and installed; without scdoc there are no
# manual pages, and the configuring says so.
find_program(SCDOC scdoc)
if(NOT SCDOC)
    message(STATUS "scdoc is not there: no manual pages are built")
endif()

function(xhrd_man_page source)
    if(NOT SCDOC)
        return()
    endif()
    get_filename_component(page ${source} NAME_WLE)
    string(REGEX REPLACE ".*\\." "" section ${page})
    set(output ${PROJECT_BINARY_DIR}/man/${page})
    add_custom_command(OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/man
        COMMAND sh -c "exec \"$0\" <\"$1\" >\"$2\"" ${SCDOC} ${source} ${output}
        DEPENDS ${source} VERBATIM)
    add_custom_target(man_${page} ALL DEPENDS ${output})
    install(FILES ${output} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endfunction()
