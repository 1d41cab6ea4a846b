# The CUDA half of a fat library, included by CMakeLists.txt. From the environment:
#   CUDACXX                  nvcc, of the toolkit that the backend names
#   MIMCTL_OPS_CUDA_ARCHS    compute capabilities, "7.5;8.0;9.0+PTX": machine code for each, and PTX where it says so
#   MIMCTL_OPS_MIN_DRIVER    the oldest driver that runs this toolkit's code
#
# cudart is linked statically and libtorch_cuda not at all: the library loads into a CPU build of torch, too.
if("$ENV{MIMCTL_OPS_CUDA_ARCHS}" STREQUAL "" OR "$ENV{MIMCTL_OPS_MIN_DRIVER}" STREQUAL "")
  message(FATAL_ERROR "a CUDA build needs MIMCTL_OPS_CUDA_ARCHS and MIMCTL_OPS_MIN_DRIVER (wheels-matrix.yaml has them)")
endif()
set(wanted_archs "$ENV{MIMCTL_OPS_CUDA_ARCHS}")
set(machine_code "")
set(portable_code "")
set(CMAKE_CUDA_ARCHITECTURES "")
foreach(arch IN LISTS wanted_archs)
  if(NOT arch MATCHES "^([0-9]+)\\.([0-9])(\\+PTX)?$")
    message(FATAL_ERROR "'${arch}' in MIMCTL_OPS_CUDA_ARCHS is no compute capability like 9.0 or 9.0+PTX")
  endif()
  set(capability "${CMAKE_MATCH_1}.${CMAKE_MATCH_2}")
  list(APPEND machine_code "\"${capability}\"")
  list(APPEND CMAKE_CUDA_ARCHITECTURES "${CMAKE_MATCH_1}${CMAKE_MATCH_2}-real")
  if(CMAKE_MATCH_3)
    list(APPEND portable_code "\"${capability}\"")
    list(APPEND CMAKE_CUDA_ARCHITECTURES "${CMAKE_MATCH_1}${CMAKE_MATCH_2}-virtual")
  endif()
endforeach()

enable_language(CUDA)
string(REGEX MATCH "^([0-9]+)\\.([0-9]+)" toolkit "${CMAKE_CUDA_COMPILER_VERSION}")
if(NOT MIMCTL_OPS_BACKEND STREQUAL "cu${CMAKE_MATCH_1}")
  message(FATAL_ERROR "the backend ${MIMCTL_OPS_BACKEND} cannot be built with the CUDA toolkit ${toolkit}")
endif()

file(GLOB cuda_sources CONFIGURE_DEPENDS csrc/cuda/*.cu)
target_sources(mimctl_ops PRIVATE ${cuda_sources})
# nvcc puts its process number into names of internal linkage, unless a seed of the file's own takes its place.
foreach(source IN LISTS cuda_sources)
  cmake_path(GET source FILENAME name)
  set_source_files_properties("${source}" PROPERTIES COMPILE_OPTIONS "--frandom-seed=mimctl-ops/${name}")
endforeach()
set_target_properties(mimctl_ops PROPERTIES
  CUDA_ARCHITECTURES "${CMAKE_CUDA_ARCHITECTURES}" CUDA_RUNTIME_LIBRARY Static
  CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_VISIBILITY_PRESET hidden)
list(TRANSFORM path_maps PREPEND "-Xcompiler=" OUTPUT_VARIABLE cuda_path_maps)
target_compile_options(mimctl_ops PRIVATE
  "$<$<COMPILE_LANGUAGE:CUDA>:-O3;-Xfatbin=-compress-all;--expt-relaxed-constexpr;--extended-lambda;-Xcompiler=-Wall;${cuda_path_maps}>")
target_link_options(mimctl_ops PRIVATE LINKER:--exclude-libs,ALL)

list(JOIN machine_code ", " machine_code)
list(JOIN portable_code ", " portable_code)
set(json_compiler "\"${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}, nvcc ${CMAKE_CUDA_COMPILER_VERSION}\"")
set(json_toolkit "\"${toolkit}\"")
set(json_min_driver "\"$ENV{MIMCTL_OPS_MIN_DRIVER}\"")
set(json_archs "[${machine_code}]")
set(json_ptx "[${portable_code}]")
