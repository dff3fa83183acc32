#!/usr/bin/env python3
"""Chooses at most BUDGET seeds for all fuzz targets, those that add the most coverage.

Usage: fuzz_cmin.py BINARIES BUDGET TARGET...   (in the repository)

BINARIES is the directory with the built fuzz targets. Candidates are the files of fuzz/corpus/TARGET and fuzz/found/TARGET; libFuzzer's
merge reports the edges that each covers. Seeds are taken greedily, over all targets together, by the number of edges they add, so that
every target gets its share. The chosen seeds replace fuzz/corpus/TARGET, named 001, 002, ... in that order.
"""

import collections
import pathlib
import shutil
import subprocess
import sys
import tempfile


def coverage(binary, directories):
    """Returns the edges that each candidate covers."""
    with tempfile.TemporaryDirectory() as scratch:
        control = pathlib.Path(scratch, "control")
        merged = pathlib.Path(scratch, "merged")
        merged.mkdir()
        command = [binary, "-merge=1", "-max_len=4096", f"-merge_control_file={control}", merged, *directories]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        lines = control.read_text().splitlines()
    # The number of files, the number of files that were in the first directory, the names, then a line for each result.
    count = int(lines[0])
    names = lines[2 : 2 + count]
    edges = collections.defaultdict(set)
    for line in lines[2 + count :]:
        kind, *numbers = line.split()
        if kind == "COV":
            edges[names[int(numbers[0])]].update(numbers[1:])
    return edges


def greedy(edges):
    """Yields (edges added, file), the largest gain first."""
    left = set().union(*edges.values())
    while left:
        best = max(edges, key=lambda file: (len(edges[file] & left), -pathlib.Path(file).stat().st_size))
        gain = edges[best] & left
        yield len(gain), best
        left -= gain


def main():
    binaries, budget, *targets = sys.argv[1:]
    candidates = []
    for target in targets:
        directories = [path for path in (pathlib.Path("fuzz", kind, target) for kind in ("corpus", "found")) if path.is_dir()]
        edges = coverage(pathlib.Path(binaries, target), directories)
        candidates += [(gain, target, file) for gain, file in greedy(edges)]
    # The sort is stable, so the seeds of a target keep their order.
    chosen = collections.defaultdict(list)
    for gain, target, file in sorted(candidates, key=lambda candidate: -candidate[0])[: int(budget)]:
        chosen[target].append((gain, pathlib.Path(file).read_bytes()))
    for target in targets:
        corpus = pathlib.Path("fuzz/corpus", target)
        shutil.rmtree(corpus, ignore_errors=True)
        corpus.mkdir(parents=True)
        for number, (_, seed) in enumerate(chosen[target], 1):
            (corpus / f"{number:03}").write_bytes(seed)
        total = sum(gain for gain, name, _ in candidates if name == target)
        covered = sum(gain for gain, _ in chosen[target])
        print(f"{target}: {len(chosen[target])} seeds cover {covered} of {total} edges")


main()
