/* Runs the snippets of docs/guide/inflate.md. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inflate-1.c"
#include "inflate-2.c"

/* "to be, or not to be" by gzip -n. */
static uint8_t const gz[] = { 0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0x03,
                              0x2b, 0xc9, 0x57, 0x48, 0x4a, 0xd5, 0x51, 0xc8, 0x2f, 0x52, 0xc8, 0xcb, 0x2f, 0x51, 0x28, 0x01, 0xf1, 0x00,
                              0x09, 0xb3, 0x73, 0xe3, 0x13, 0x00, 0x00, 0x00 };
static char const text[] = "to be, or not to be";

int
main( void ) {
  static uint8_t ckpt[ FDCKPT_INFLATE_CHECKPOINT_MAX ];
  uint8_t          out[ 100 ];
  size_t           ckpt_size;
  fdckpt_inflate_t strm = FDCKPT_INFLATE_INIT;
  assert( !fdckpt_inflate_init( &strm, FDCKPT_INFLATE_GZIP ) );
  strm.next_in  = gz;  strm.avail_in  = 20;
  strm.next_out = out; strm.avail_out = sizeof(out);
  assert( !step( &strm, ckpt, &ckpt_size ) );
  fdckpt_inflate_end( &strm );

  assert( !resume( &strm, ckpt, ckpt_size ) );
  assert( strm.total_in<=20 );
  strm.next_in  = gz +strm.total_in;  strm.avail_in  = sizeof(gz) -strm.total_in;
  strm.next_out = out+strm.total_out; strm.avail_out = sizeof(out)-strm.total_out;
  assert( fdckpt_inflate( &strm )==FDCKPT_INFLATE_STREAM_END );
  assert( strm.total_out==sizeof(text)-1 && !memcmp( out, text, sizeof(text)-1 ) );
  fdckpt_inflate_end( &strm );

  FILE * file = tmpfile(), * index = tmpfile();
  assert( file && index && fwrite( gz, sizeof(gz), 1, file )==1 && !fflush( file ) );
  assert( !build( fileno( file ), fileno( index ) ) );
  rewind( index );
  size_t read = 0;
  assert( !read_at( fileno( file ), fileno( index ), 7, out, 6, &read ) );
  assert( read==6 && !memcmp( out, text+7, 6 ) );
  return 0;
}
