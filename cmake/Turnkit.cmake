# House rules for every target: language level, warnings, sanitizers, and the one way to declare a library, a program or a test.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto SSL)
pkg_check_modules(LIBEVENT REQUIRED IMPORTED_TARGET libevent_core)
pkg_check_modules(CARES REQUIRED IMPORTED_TARGET libcares)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_library(UNISTRING_LIBRARY unistring REQUIRED)

add_library(turnkit_options INTERFACE)
target_include_directories(turnkit_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/lib)
target_compile_definitions(turnkit_options INTERFACE TURNKIT_VERSION="${PROJECT_VERSION}")
# GCC 12 warns of overlapping copies inside its own std::string when it optimises (GCC bug 105651).
target_compile_options(turnkit_options INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor -Werror
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(TURNKIT_SANITIZE)
  target_compile_options(turnkit_options INTERFACE -fsanitize=${TURNKIT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(turnkit_options INTERFACE -fsanitize=${TURNKIT_SANITIZE})
endif()
if(TURNKIT_FUZZ)
  target_compile_options(turnkit_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(turnkit_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# turnkit_library(NAME SOURCES... DEPS target...): a static library; an arrow of the design is a line in DEPS.
function(turnkit_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC turnkit_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

# turnkit_program(NAME SOURCES... DEPS target...)
function(turnkit_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE turnkit_options ${ARG_DEPS})
endfunction()

# What ./check builds for the sanitizers: quick tests of the code itself, and the tests of threads.
add_custom_target(sanitized_tests)
add_custom_target(worker_tests)

# turnkit_build_fast(TARGET): for test code. What is tested is built as users run it; the tests themselves need to build fast.
function(turnkit_build_fast name)
  target_compile_options(${name} PRIVATE -O0 -g1)
endfunction()

# turnkit_test(NAME SOURCES... DEPS target... LABELS label...): a GoogleTest binary whose cases ctest runs one by one.
function(turnkit_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE turnkit_options ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  turnkit_build_fast(${name})
  target_precompile_headers(${name} PRIVATE <gtest/gtest.h>)
  target_compile_definitions(${name} PRIVATE TURNKIT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(ARG_LABELS MATCHES "unit|sim|conformance")
    add_dependencies(sanitized_tests ${name})
  elseif(ARG_LABELS MATCHES "worker")
    add_dependencies(worker_tests ${name})
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 120 LABELS "${ARG_LABELS}")
endfunction()
