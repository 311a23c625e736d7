# SPDX-License-Identifier: MIT
# xhr with musl instead of glibc. Before main() glibc asks the processor some fifty times what it
# can do and how its caches are made (cpuid). On a virtual machine each of them is a trip to the
# hypervisor: half a millisecond, five times what the rest of a start takes. musl asks nothing, and
# touches fewer pages. Only xhr: a library is its program's, and xhrctl needs glibc's user names.
string(REPLACE "-gnu" "-musl" musl "${CMAKE_LIBRARY_ARCHITECTURE}")
set(MUSL_LIB /usr/lib/${musl})
set(MUSL_INCLUDE /usr/include/${musl})
if(XHRD_MUSL AND xhr_is_static AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND EXISTS ${MUSL_LIB}/rcrt1.o
   AND EXISTS ${MUSL_INCLUDE}/stdio.h AND NOT CMAKE_C_FLAGS MATCHES "--coverage")
    set(MUSL_FOUND ON)
elseif(XHRD_MUSL AND xhr_is_static)
    message(STATUS "xhr is linked with glibc, not with musl: it starts, on virtual machines, half a millisecond slower")
endif()

# What comes from neither musl nor the compiler: the kernel's headers and protobuf-c's, and nothing
# else of /usr/include, where glibc's lie.
function(xhr_other_headers ret)
    set(other ${CMAKE_CURRENT_BINARY_DIR}/include)
    file(MAKE_DIRECTORY ${other})
    foreach(name linux asm asm-generic protobuf-c)
        foreach(place /usr/include /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
            if(EXISTS ${place}/${name})
                file(CREATE_LINK ${place}/${name} ${other}/${name} SYMBOLIC)
            endif()
        endforeach()
    endforeach()
    set(${ret} ${other} PARENT_SCOPE)
endfunction()

# xhr_use_musl(target): compile and link it, static-pie, with musl and the archive of libprotobuf-c,
# which needs nothing of a libc but memory and strings.
function(xhr_use_musl target)
    execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=include
        OUTPUT_VARIABLE compiler_include OUTPUT_STRIP_TRAILING_WHITESPACE)
    xhr_other_headers(other_headers)
    target_link_libraries(${target} PRIVATE xhrd_flags)
    add_dependencies(${target} xhrd_proto)
    target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}
        ${PROJECT_SOURCE_DIR}/client-lib/src ${PROJECT_SOURCE_DIR}/client-lib/include
        ${PROJECT_SOURCE_DIR}/proto)
    target_include_directories(${target} SYSTEM PRIVATE ${PROJECT_BINARY_DIR}/proto)
    target_compile_definitions(${target} PRIVATE XHR_DAEMON_PATH="${XHRD_DAEMON_PATH}")
    target_compile_options(${target} PRIVATE ${small} -ffunction-sections -fdata-sections -fPIE
        -nostdinc "SHELL:-isystem ${MUSL_INCLUDE}"
        "SHELL:-isystem ${compiler_include}" "SHELL:-isystem ${other_headers}")
    target_link_options(${target} PRIVATE -static-pie -nostdlib ${MUSL_LIB}/rcrt1.o ${MUSL_LIB}/crti.o)
    target_link_libraries(${target} PRIVATE ${PROTOBUF_C_ARCHIVE} ${MUSL_LIB}/libc.a -lgcc ${MUSL_LIB}/crtn.o)
endfunction()
