/* frames.c: a simulation's fields, saved and restored by several threads.

     frames FILE [THREADS]

   Each field is an LZ4 frame, so that threads can share the work in both
   directions.  The file begins with a RAW frame of fixed size that says
   where the others are.  What fd_checkpt.h makes of the same frames is the
   same, byte for byte, and can be restored in the same way.

     cc -std=c11 -O2 -Iinclude examples/frames.c -lfdckpt -o frames */

#define _POSIX_C_SOURCE 200809L

#include "fd_checkpt.h"
#include "fdckpt.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELD_CNT 8
#define CELL_CNT  (1UL<<18)

typedef struct { uint64_t step, off[ FIELD_CNT ]; } head_t;

static double field[ FIELD_CNT ][ CELL_CNT ];
static double restored[ FIELD_CNT ][ CELL_CNT ];

static void
die( char const * what ) {
  /* The library has said why on stderr, if it was one of its functions. */
  fprintf( stderr, "%s failed\n", what );
  exit( 1 );
}

static void
save( char const * path, uint64_t step, int threads ) {
  int fd = open( path, O_WRONLY|O_CREAT|O_TRUNC, 0644 );
  if( fd<0 ) die( path );

  /* The fields first, after space for the head.  place is their start; the call advances it to their end. */
  fdckpt_buffer_t buf  [ FIELD_CNT ];
  fdckpt_frame_t  frame[ FIELD_CNT ];
  for( int i=0; i<FIELD_CNT; i++ ) {
    buf  [i] = (fdckpt_buffer_t){ .data=field[i], .size=sizeof(field[i]) };
    frame[i] = (fdckpt_frame_t) { .style=FD_CHECKPT_FRAME_STYLE_LZ4, .buffer_count=1, .buffers=&buf[i] };
  }
  fdckpt_frames_cursor_t place = { .offset=sizeof(head_t) };
  if( fdckpt_frames_write_file( frame, FIELD_CNT, fd, &place, threads ) ) die( "saving" );

  head_t head = { .step=step };
  for( int i=0; i<FIELD_CNT; i++ ) head.off[i] = frame[i].begin_offset;
  fdckpt_buffer_t head_buf   = { .data=&head, .size=sizeof(head) };
  fdckpt_frame_t  head_frame = { .style=FD_CHECKPT_FRAME_STYLE_RAW, .buffer_count=1, .buffers=&head_buf };
  if( fdckpt_frames_write_file( &head_frame, 1, fd, NULL, threads ) ) die( "saving the head" );
  if( close( fd ) ) die( path );
  printf( "saved step %lu: %lu bytes of %lu\n", (ulong)step, (ulong)place.offset, sizeof(field)+sizeof(head) );
}

static uint64_t
load( char const * path, int threads ) {
  int fd = open( path, O_RDONLY );
  if( fd<0 ) die( path );

  head_t head;
  fdckpt_buffer_t head_buf   = { .data=&head, .size=sizeof(head) };
  fdckpt_frame_t  head_frame = { .style=FD_CHECKPT_FRAME_STYLE_RAW, .buffer_count=1, .buffers=&head_buf };
  if( fdckpt_frames_read_file( &head_frame, 1, fd, threads ) ) die( "restoring the head" );

  fdckpt_buffer_t buf  [ FIELD_CNT ];
  fdckpt_frame_t  frame[ FIELD_CNT ];
  for( int i=0; i<FIELD_CNT; i++ ) {
    buf  [i] = (fdckpt_buffer_t){ .data=restored[i], .size=sizeof(restored[i]) };
    frame[i] = (fdckpt_frame_t) { .style=FD_CHECKPT_FRAME_STYLE_LZ4, .buffer_count=1, .buffers=&buf[i], .begin_offset=head.off[i] };
  }
  if( fdckpt_frames_read_file( frame, FIELD_CNT, fd, threads ) ) {
    fdckpt_error_t const * error = fdckpt_last_error();
    fprintf( stderr, "field %lu is lost: %s\n", (ulong)error->frame, error->message );
    exit( 1 );
  }
  close( fd );
  return head.step;
}

int
main( int argc, char ** argv ) {
  if( argc<2 ) { fprintf( stderr, "usage: %s FILE [THREADS]\n", argv[0] ); return 2; }
  int threads = argc>2 ? atoi( argv[2] ) : 0; /* 0: what FDCKPT_THREADS says */
  for( int i=0; i<FIELD_CNT; i++ ) for( ulong j=0UL; j<CELL_CNT; j++ ) field[i][j] = (double)(j/(16UL+(ulong)i));
  save( argv[1], 17UL, threads );
  uint64_t step = load( argv[1], threads );
  if( memcmp( field, restored, sizeof(field) ) ) die( "comparing" );
  printf( "restored step %lu\n", (ulong)step );
  return 0;
}
