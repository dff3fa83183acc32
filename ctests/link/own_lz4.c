/* A program that uses LZ4 for itself and links libfdckpt.a: each must get its own.  With OWN_LZ4 it even defines functions of
   LZ4's names, which the library must never call. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fd_checkpt.h"
#include "fdckpt.h"

#ifdef OWN_LZ4

static void
mine( char const * name ) {
  fprintf( stderr, "the library called the program's own %s\n", name );
  abort();
}

#define OWN(name) int name( void ); int name( void ) { mine( #name ); return 0; }
OWN( LZ4_createStream )
OWN( LZ4_freeStream )
OWN( LZ4_resetStream_fast )
OWN( LZ4_compress_fast_continue )
OWN( LZ4_createStreamDecode )
OWN( LZ4_freeStreamDecode )
OWN( LZ4_setStreamDecode )
OWN( LZ4_decompress_safe_continue )

int LZ4_compress_default( char const * src, char * dst, int src_sz, int dst_max );
int LZ4_compress_default( char const * src, char * dst, int src_sz, int dst_max ) {
  if( src_sz>dst_max ) return 0;
  memcpy( dst, src, (size_t)src_sz );
  return src_sz;
}

int LZ4_decompress_safe( char const * src, char * dst, int src_sz, int dst_max );
int LZ4_decompress_safe( char const * src, char * dst, int src_sz, int dst_max ) {
  return LZ4_compress_default( src, dst, src_sz, dst_max );
}

#else

int LZ4_compress_default( char const * src, char * dst, int src_sz, int dst_max );
int LZ4_decompress_safe( char const * src, char * dst, int src_sz, int dst_max );

#endif

#define CHECK(condition) do { if( !(condition) ) { printf( "%s:%d: %s\n0 passed, 1 failed\n", __FILE__, __LINE__, #condition ); return 1; } } while(0)

static uchar text[ 200000 ], restored[ 200000 ], memory[ 300000 ];
static fd_checkpt_t checkpt[1];
static fd_restore_t restore[1];

int
main( void ) {
  for( size_t i=0; i<sizeof(text); i++ ) text[i] = (uchar)( "checkpoint "[ i%11 ] + ( i/5000 )%3 );

  /* The program's LZ4 ... */
  int sz = LZ4_compress_default( (char const *)text, (char *)memory, (int)sizeof(text), (int)sizeof(memory) );
  CHECK( sz>0 );
  CHECK( LZ4_decompress_safe( (char const *)memory, (char *)restored, sz, (int)sizeof(restored) )==(int)sizeof(restored) );
  CHECK( !memcmp( text, restored, sizeof(text) ) );

  /* ... and the library's. */
  ulong end;
  CHECK( fd_checkpt_init_mmio( checkpt, memory, sizeof(memory) ) );
  CHECK( !fd_checkpt_open( checkpt, FD_CHECKPT_FRAME_STYLE_LZ4 ) );
  CHECK( !fd_checkpt_data( checkpt, text, sizeof(text) ) );
  CHECK( !fd_checkpt_close_advanced( checkpt, &end ) );
  CHECK( fd_checkpt_fini( checkpt ) );
  CHECK( end<sizeof(text)/10 );
  memset( restored, 0, sizeof(restored) );
  CHECK( fd_restore_init_mmio( restore, memory, end ) );
  CHECK( !fd_restore_open( restore, FD_CHECKPT_FRAME_STYLE_LZ4 ) );
  CHECK( !fd_restore_data( restore, restored, sizeof(restored) ) );
  CHECK( !fd_restore_close( restore ) );
  CHECK( fd_restore_fini( restore ) );
  CHECK( !memcmp( text, restored, sizeof(text) ) );

  printf( "libfdckpt %s\n1 passed, 0 failed\n", fdckpt_version() );
  return 0;
}
