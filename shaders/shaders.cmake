# Shaders → SPIR-V → one C++ table. Each shaders/<op>.comp is built plain (Vulkan 1.2 and nothing else: tier 0) and once
# more for every word of its "//! variant" line, with that word in capitals defined: rms_norm.subgroup; a_b defines both.
# A variant whose extension this glslc doesn't know (probe/<word>.comp) is left out, and said to be. check/<name>.comp are
# questions to a device, peak/<name>.comp measure what it does at best (peak_<name>): built plain, unless a "//! needs"
# line names a variant that this glslc doesn't know.
# Sets VKS_GLSLC (false if there is none) and VKS_SHADER_TABLE, a source that defines find_shader() and has_shader().

find_program(VKS_GLSLC glslc)
find_program(VKS_SPIRV_VAL spirv-val)
find_program(VKS_SPIRV_OPT spirv-opt)
if(NOT VKS_GLSLC)
  return()
endif()

set(shader_dir "${CMAKE_CURRENT_LIST_DIR}")
set(spirv_dir "${CMAKE_BINARY_DIR}/shaders")
file(MAKE_DIRECTORY "${spirv_dir}")
set(glslc_flags --target-env=vulkan1.2 -I "${shader_dir}")

# known_<word>: does this glslc take the variant?
file(GLOB probes CONFIGURE_DEPENDS "${shader_dir}/probe/*.comp")
foreach(probe IN LISTS probes)
  get_filename_component(word "${probe}" NAME_WE)
  execute_process(COMMAND "${VKS_GLSLC}" ${glslc_flags} "${probe}" -o "${spirv_dir}/probe_${word}.spv"
    RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    set(known_${word} FALSE)
    message(STATUS "Shaders: variant ${word} left out, ${VKS_GLSLC} doesn't know it")
  else()
    set(known_${word} TRUE)
  endif()
endforeach()

# All of them for each: glslc's own list of what a shader includes can't be read where paths have spaces.
file(GLOB_RECURSE shader_includes CONFIGURE_DEPENDS "${shader_dir}/*.glsl" "${shader_dir}/*.h")
set(spirv_files "")
function(vks_shader source name)
  set(output "${spirv_dir}/${name}.spv")
  set(commands COMMAND "${VKS_GLSLC}" ${glslc_flags} ${ARGN} -O0 "${source}" -o "${output}")
  if(VKS_SPIRV_OPT)
    list(APPEND commands COMMAND "${VKS_SPIRV_OPT}" -O "${output}" -o "${output}")
  endif()
  if(VKS_SPIRV_VAL)
    list(APPEND commands COMMAND "${VKS_SPIRV_VAL}" --target-env vulkan1.2 "${output}")
  endif()
  add_custom_command(OUTPUT "${output}" ${commands} DEPENDS "${source}" ${shader_includes}
    COMMENT "Compiling shader ${name}" VERBATIM)
  set(spirv_files ${spirv_files} "${output}" PARENT_SCOPE)
endfunction()

file(GLOB shader_sources CONFIGURE_DEPENDS "${shader_dir}/*.comp")
foreach(source IN LISTS shader_sources)
  get_filename_component(op "${source}" NAME_WE)
  vks_shader("${source}" "${op}")
  file(STRINGS "${source}" lines REGEX "^//! variant ")
  string(REGEX REPLACE "^//! variant +" "" words "${lines}")
  string(REPLACE " " ";" words "${words}")
  foreach(word IN LISTS words)
    string(REPLACE "_" ";" parts "${word}")
    set(macros "")
    set(known TRUE)
    foreach(part IN LISTS parts)
      if(NOT DEFINED known_${part})
        message(FATAL_ERROR "${source}: variant ${part} has no shaders/probe/${part}.comp")
      elseif(NOT known_${part})
        set(known FALSE)
      endif()
      string(TOUPPER "-D${part}" macro)
      list(APPEND macros "${macro}")
    endforeach()
    if(known)
      vks_shader("${source}" "${op}.${word}" ${macros})
    endif()
  endforeach()
endforeach()

file(GLOB check_sources CONFIGURE_DEPENDS "${shader_dir}/check/*.comp" "${shader_dir}/peak/*.comp")
foreach(source IN LISTS check_sources)
  get_filename_component(name "${source}" NAME_WE)
  if(source MATCHES "/peak/")
    set(name "peak_${name}")
  endif()
  file(STRINGS "${source}" lines REGEX "^//! needs ")
  string(REGEX REPLACE "^//! needs +" "" word "${lines}")
  if(NOT word OR known_${word})
    vks_shader("${source}" "${name}")
  endif()
endforeach()

set(VKS_SHADER_TABLE "${spirv_dir}/shader_table.cpp")
add_custom_command(OUTPUT "${VKS_SHADER_TABLE}"
  COMMAND Python3::Interpreter -B "${shader_dir}/embed.py" -o "${VKS_SHADER_TABLE}" ${spirv_files}
  DEPENDS "${shader_dir}/embed.py" ${spirv_files}
  COMMENT "Embedding the shaders" VERBATIM)
add_custom_target(shaders DEPENDS "${VKS_SHADER_TABLE}")
