/* container.c: keeps the parts of a simulation in one file as sections of
   a container, updates one of them without rewriting the others, and reads
   them back.

     cc container.c $(pkg-config --cflags --libs fdckpt) -o container
     ./container FILE */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <fdckpt.h>

enum { SETTINGS = 200, GRID = 201 }; /* Types are for the program to choose, 1 is the index of blocks */

static int
failed( char const * what ) {
  fprintf( stderr, "%s: %s\n", what, fdckpt_last_error()->message );
  return 1;
}

int
main( int     argc,
      char ** argv ) {
  static double grid[ 100000 ];
  char const *  settings = "steps=1000";
  if( argc!=2 ) return 2;
  int fd = open( argv[1], O_RDWR | O_CREAT | O_TRUNC, 0666 );
  if( fd<0 ) { perror( argv[1] ); return 1; }

  /* Write.  The grid is not copied: it must stay until the write. */
  fdckpt_container_t * container = fdckpt_container_new();
  if( !container ) return failed( "new" );
  if( fdckpt_container_set    ( container, SETTINGS, settings, strlen( settings ) )
   || fdckpt_container_set_borrowed( container, GRID,     grid,     sizeof(grid) )
   || fdckpt_container_write  ( container, fd ) ) return failed( "write" );
  fdckpt_container_free( container );

  /* Update one section: the file grows by a few bytes. */
  settings  = "steps=2000";
  container = fdckpt_container_open( fd );
  if( !container ) return failed( "open" );
  if( fdckpt_container_set_borrowed( container, SETTINGS, settings, strlen( settings ) )
   || fdckpt_container_append ( container, fd ) ) return failed( "append" );
  fdckpt_container_free( container );

  /* Read: the pointers are into the file's map. */
  container = fdckpt_container_open( fd );
  if( !container ) return failed( "open" );
  for( size_t i=0; i<fdckpt_container_section_count( container ); i++ ) {
    fdckpt_container_section_t section = FDCKPT_CONTAINER_SECTION_INIT;
    if( fdckpt_container_section_info( container, i, &section ) ) return failed( "section" );
    printf( "type %d: %lld bytes at %lld\n", section.type, (long long)section.size, (long long)section.offset );
  }
  void const * data;
  size_t       size;
  if( fdckpt_container_find( container, SETTINGS, &data, &size ) ) return failed( "get" );
  printf( "settings: %.*s\n", (int)size, (char const *)data );
  if( fdckpt_container_find( container, GRID, &data, &size ) ) return failed( "get" );
  printf( "grid: %s\n", size==sizeof(grid) && !memcmp( data, grid, size ) ? "as it was" : "another" );
  fdckpt_container_free( container );
  close( fd );
  return 0;
}
