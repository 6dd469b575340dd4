# abi_layout must fail, and name the field, when the golden has another offset or lacks an enumerator.
file(READ ${GOLDEN} text)
string(REPLACE "arg_layout 32" "arg_layout 40" text "${text}")
string(REPLACE "VKS_U8 7\n" "" text "${text}")
file(WRITE ${WORK}/other.golden "${text}")
execute_process(COMMAND ${PROGRAM} ${WORK}/other.golden RESULT_VARIABLE status ERROR_VARIABLE output)
if(NOT status EQUAL 5 OR NOT output MATCHES "- struct vks_support.arg_layout 40" OR NOT output MATCHES "\\+ VKS_U8 7")
  message(FATAL_ERROR "abi_layout didn't notice (status ${status}): ${output}")
endif()
