# Ranks as processes. Scripts skip, with the reason, where MPI or what else they need is missing.
mu_test(comm_live SOURCES test_live.c LABELS unit)

add_executable(mpi_rank mpi_rank.c)
target_link_libraries(mpi_rank PRIVATE muster)
add_executable(test_mpi test_mpi.c)
target_link_libraries(test_mpi PRIVATE xt muster)

# MPI's own leaks are not ours, and its libraries know no race detector.
set(mpi_environment OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "ASAN_OPTIONS=detect_leaks=0")
find_program(MUSTER_MPIRUN NAMES mpirun.openmpi)
if(TARGET muster_mpi AND MUSTER_MPIRUN)
  add_dependencies(mpi_rank muster_mpi)
  add_dependencies(test_mpi muster_mpi)
  foreach(ranks 1 2 3 4 8)
    add_test(NAME comm_mpi_${ranks} COMMAND ${MUSTER_MPIRUN} --oversubscribe --bind-to none -n ${ranks}
      $<TARGET_FILE:test_mpi>)
    set_tests_properties(comm_mpi_${ranks} PROPERTIES TIMEOUT 300 LABELS mpi ENVIRONMENT "${mpi_environment}")
  endforeach()
endif()
foreach(script launch faults netns)
  add_test(NAME comm_mpi_${script} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/mpi_${script}.sh $<TARGET_FILE:mpi_rank>)
  set_tests_properties(comm_mpi_${script} PROPERTIES TIMEOUT 600 LABELS mpi SKIP_RETURN_CODE 77
    COST 200 RESOURCE_LOCK lost_ranks # they time how soon a loss is noticed
    ENVIRONMENT "${mpi_environment}")
endforeach()
if(MUSTER_SANITIZE MATCHES "thread")
  # Open MPI and PMIx are not built for it; the watch's own threads are in comm_live.
  foreach(name 1 2 3 4 8 launch faults netns)
    if(TEST comm_mpi_${name})
      set_tests_properties(comm_mpi_${name} PROPERTIES DISABLED TRUE)
    endif()
  endforeach()
endif()

# Minutes of waiting for silence, in which sanitizers find nothing that the launch does not show.
if(MUSTER_SANITIZE AND TEST comm_mpi_faults)
  set_tests_properties(comm_mpi_faults comm_mpi_netns PROPERTIES DISABLED TRUE)
endif()
