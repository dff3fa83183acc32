#!/bin/bash
# Runs mpi_heat with 2 and 4 ranks, ordinary and differential, kills it again and again, and compares the result with that of a run in
# peace; then cuts a checkpoint of 2 ranks anew for 4, and of 4 for 3, and continues with that.
#
#   mpi_demo.sh BUILD STEPS KILLS      BUILD has mpi_heat and fti_repartition; RANKS can say other numbers of ranks
set -euo pipefail

build=$1 steps=$2 kills=$3
dir=$(mktemp -d "${TMPDIR:-/tmp}/fdckpt-mpi.XXXXXX")
trap 'rm -rf "$directory"' EXIT
# Open MPI asks for that where all is done by root, as in a container, and where there are fewer processors than ranks.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
run() {
  mpirun --oversubscribe --mca btl_vader_single_copy_mechanism none -n "$1" "$build/mpi_heat" "$directory/$2" "$3" "${@:4}"
}
result() {
  sed -n 's/^result: //p' <<< "$1"
}

wanted=
for ranks in ${RANKS:-2 4}; do
  for mode in ordinary differential; do
    start=$(date +%s%N)
    found=$(result "$(run "$ranks" peace "$ranks-$mode" "$steps" "$mode")")
    took=$(( ($(date +%s%N) - start) / 1000000 ))
    wanted=${wanted:-$found}
    echo "$ranks ranks, $mode, in peace: $found, after $took ms"
    test -n "$found" -a "$found" = "$wanted" || { echo "another result"; exit 1; }
    done=0
    for (( killed = 0; killed < kills; )); do
      # Sooner or later than its end.
      ms=$(( 20 + RANDOM * took / 40000 ))
      if said=$(run "$ranks" "$ranks-$mode" heat "$steps" "$mode" "$ms" 2> "$directory/stderr"); then
        test "$(result "$said")" = "$wanted" || { echo "another result: $said"; exit 1; }
        # And once more from the start.
        rm -rf "${directory:?}/$ranks-$mode"
        done=$(( done + 1 ))
      else
        killed=$(( killed + 1 ))
        echo "  killed after $ms ms; it had begun with checkpoint $(sed -n 's/^checkpoint: \([^,]*, step [0-9]*\).*/\1/p' <<< "$said")"
      fi
    done
    said=$(run "$ranks" "$ranks-$mode" heat "$steps" "$mode")
    found=$(result "$said")
    echo "  $found in the end, and $done times before; $(sed -n 's/^differential: //p' <<< "$said")"
    test "$found" = "$wanted" || { echo "another result"; exit 1; }
  done
done

recut() {
  local from=$1 to=$2 mode=$3
  echo "$from ranks, $mode, until the middle, then $to ranks:"
  rm -rf "${directory:?}/recut"
  run "$from" recut heat $(( steps / 2 )) "$mode" > /dev/null
  local files; files=$(run "$from" recut heat 0 "$mode" | sed -n 's/^checkpoint: .* files //p')
  # The same directories, under another name.
  local new=${files/\/heat\///other/}
  mkdir -p "$(dirname "$new")"
  # Variable 1 is the plate: rows of 1024 numbers of 8 bytes.
  echo "  $("$build/fti_repartition" "$files" "$from" "$new" "$to" 1:8192)"
  local found; found=$(result "$(run "$to" recut other "$steps" "$mode")")
  echo "  $found"
  test "$found" = "$wanted" || { echo "  another result"; exit 1; }
}
recut 2 4 ordinary
test "${RANKS:-2 4}" = 2 || recut 4 3 differential
echo "all results are the same"
