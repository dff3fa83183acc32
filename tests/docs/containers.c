/* Runs the snippets of docs/guide/containers.md. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdio.h>

#include "containers-1.c"

int
main( void ) {
  struct settings settings = { .steps = 1000, .seed = 7 }, read = { 0 };
  FILE * file = tmpfile();
  assert( file );
  assert( !write_settings( fileno( file ), &settings ) );
  assert( !read_settings( fileno( file ), &read ) );
  assert( read.steps==1000 && read.seed==7 );
  return 0;
}
