/* inflate.c: the C API of resumable inflate, as a user of zlib would try it. */

#include "test.h"

/* "to be, or not to be" as raw Deflate, and twice in a gzip file: the second member with an extra field, a name, a comment and a
   checksum of its header.  Made by zlib. */

static uchar const raw[] = {
  0x2b, 0xc9, 0x57, 0x48, 0x4a, 0xd5, 0x51, 0xc8, 0x2f, 0x52, 0xc8, 0xcb, 0x2f, 0x51, 0x28, 0x01, 0xf1, 0x00 };
static char  const text[] = "to be, or not to be";
#define TEXT_SZ (sizeof(text)-1UL)

static uchar gz[ 256 ];
static ulong gz_sz;

static ulong
gz_crc( uchar const * p, ulong sz ) {
  uint32_t crc = ~0U;
  while( sz-- ) {
    crc ^= *p++;
    for( int i=0; i<8; i++ ) crc = (crc>>1) ^ (0xedb88320U & (0U-(crc & 1U)));
  }
  return (ulong)~crc;
}

static void
gz_put( void const * p, ulong sz ) {
  memcpy( gz+gz_sz, p, sz );
  gz_sz += sz;
}

static void
gz_put_le( ulong value, ulong sz ) {
  for( ulong i=0UL; i<sz; i++ ) gz[ gz_sz++ ] = (uchar)(value>>(8UL*i));
}

static void
gz_make( void ) {
  gz_sz = 0UL;
  for( int member=0; member<2; member++ ) {
    ulong start = gz_sz;
    gz_put( member ? "\x1f\x8b\x08\x1e\0\0\0\0\0\x03" : "\x1f\x8b\x08\0\0\0\0\0\0\x03", 10UL );
    if( member ) {
      gz_put( "\x03\0abcname\0comment\0", 18UL );
      gz_put_le( gz_crc( gz+start, gz_sz-start ), 2UL );
    }
    gz_put( raw, sizeof(raw) );
    gz_put_le( gz_crc( (uchar const *)text, TEXT_SZ ), 4UL );
    gz_put_le( TEXT_SZ, 4UL );
  }
}

static uchar out[ 1000 ];
static uchar ckpt[ FDCKPT_INFLATE_CHECKPOINT_MAX ];

static void
set( fdckpt_inflate_t * strm, void const * in, ulong in_sz, ulong out_at, ulong out_sz ) {
  strm->next_in  = (uint8_t const *)in; strm->avail_in  = in_sz;
  strm->next_out = out+out_at;          strm->avail_out = out_sz;
}

static void
test_whole( void ) {
  fdckpt_inflate_t strm = FDCKPT_INFLATE_INIT;
  memset( &strm, 0xa5, sizeof(strm) ); /* What was there does not matter, but for the size */
  strm.struct_size = sizeof(strm);
  CHECK_EQ( fdckpt_inflate_init( &strm, FDCKPT_INFLATE_DEFLATE ), FDCKPT_OK );
  CHECK_EQ( strm.total_in+strm.total_out, 0UL );
  CHECK( !strm.msg );
  set( &strm, raw, sizeof(raw), 0UL, sizeof(out) );
  CHECK_EQ( fdckpt_inflate( &strm ), FDCKPT_INFLATE_STREAM_END );
  CHECK_EQ( strm.total_in,  sizeof(raw) );
  CHECK_EQ( strm.total_out, TEXT_SZ );
  CHECK_EQ( strm.avail_in,  0UL );
  CHECK_EQ( strm.avail_out, sizeof(out)-TEXT_SZ );
  CHECK_EQ( strm.next_in,   raw+sizeof(raw) );
  CHECK_EQ( strm.next_out,  out+TEXT_SZ );
  CHECK( !memcmp( out, text, TEXT_SZ ) );
  /* What follows the end is left alone, again and again. */
  for( int i=0; i<2; i++ ) {
    set( &strm, "trailing", 8UL, 0UL, sizeof(out) );
    CHECK_EQ( fdckpt_inflate( &strm ), FDCKPT_INFLATE_STREAM_END );
    CHECK_EQ( strm.avail_in, 8UL );
  }
  CHECK_EQ( fdckpt_inflate_reset( &strm ), FDCKPT_OK );
  CHECK_EQ( strm.total_in+strm.total_out, 0UL );
  set( &strm, raw, sizeof(raw), 0UL, TEXT_SZ ); /* No byte too much */
  CHECK_EQ( fdckpt_inflate( &strm ), FDCKPT_INFLATE_STREAM_END );
  CHECK_EQ( fdckpt_inflate_end( &strm ), FDCKPT_OK );
  CHECK( !strm.state );
}

/* One byte in, one byte out, each time in a new stream. */

static void
test_every_byte( int form ) {
  fdckpt_inflate_t strm = FDCKPT_INFLATE_INIT;
  ulong at = 0UL, got = 0UL, ends = 0UL;
  CHECK_EQ( fdckpt_inflate_init( &strm, FDCKPT_INFLATE_GZIP ), FDCKPT_OK );
  for( ulong rounds=0UL; rounds<1000UL; rounds++ ) {
    ulong in_sz = at<gz_sz ? 1UL : 0UL;
    set( &strm, gz+at, in_sz, got, 1UL );
    int code = fdckpt_inflate( &strm );
    CHECK_MSG( code>=0, "byte %lu: %d", at, code );
    at  += in_sz-strm.avail_in;
    got += 1UL-strm.avail_out;
    CHECK_EQ( strm.total_in,  at  );
    CHECK_EQ( strm.total_out, got );
    ends += code==FDCKPT_INFLATE_STREAM_END && in_sz!=strm.avail_in;
    if( code==FDCKPT_INFLATE_STREAM_END && at==gz_sz ) break;

    ulong bound = fdckpt_inflate_checkpoint_bound( &strm, form );
    ulong len = 0UL;
    fdckpt_inflate_position_t position, again;
    CHECK( bound && bound<=sizeof(ckpt) );
    CHECK_EQ( fdckpt_inflate_checkpoint( &strm, form, ckpt, bound, &len, &position ), FDCKPT_OK );
    CHECK( len<=bound );
    CHECK_EQ( position.in_offset,  at  );
    CHECK_EQ( position.out_offset, got );
    ulong needed = 0UL;
    CHECK_EQ( fdckpt_inflate_checkpoint( &strm, form, ckpt, len-1UL, &needed, NULL ), FDCKPT_ERR_BUFFER_TOO_SMALL );
    CHECK_EQ( needed, len );
    CHECK( strm.msg && strlen( strm.msg )>10UL );
    CHECK_EQ( fdckpt_inflate_end( &strm ), FDCKPT_OK );

    fdckpt_inflate_t next = FDCKPT_INFLATE_INIT;
    CHECK_EQ( fdckpt_inflate_init( &next, FDCKPT_INFLATE_GZIP ), FDCKPT_OK );
    CHECK_EQ( fdckpt_inflate_restore( &next, ckpt, len, &again ), FDCKPT_OK );
    CHECK( again.in_offset==at && again.out_offset==got && next.total_in==at && next.total_out==got );
    CHECK_EQ( fdckpt_inflate_restore( &next, ckpt, len-1UL, NULL ), FDCKPT_ERR_CORRUPT );
    CHECK( next.total_in==at && next.total_out==got );
    strm = next; /* It may move */
  }
  CHECK_EQ( ends, 2UL );
  CHECK_EQ( got,  2UL*TEXT_SZ );
  CHECK( !memcmp( out, text, TEXT_SZ ) && !memcmp( out+TEXT_SZ, text, TEXT_SZ ) );
  set( &strm, "garbage", 7UL, 0UL, 100UL );
  CHECK_EQ( fdckpt_inflate( &strm ), FDCKPT_INFLATE_STREAM_END );
  CHECK_EQ( strm.avail_in, 7UL );
  fdckpt_inflate_end( &strm );
}

/* Any byte of a gzip file that is changed is noticed, but for those that mean nothing. */

static void
test_damage( void ) {
  for( ulong i=0UL; i<gz_sz; i++ ) {
    fdckpt_inflate_t strm = FDCKPT_INFLATE_INIT;
    fdckpt_inflate_init( &strm, FDCKPT_INFLATE_GZIP );
    gz[i] ^= 0x55;
    set( &strm, gz, gz_sz, 0UL, sizeof(out) );
    int code = fdckpt_inflate( &strm );
    if( code==FDCKPT_INFLATE_STREAM_END && strm.avail_in ) code = fdckpt_inflate( &strm );
    int time_or_system = i>=4UL && i<10UL; /* Not under any checksum */
    int second         = i==10UL+sizeof(raw)+8UL; /* Then it is no member */
    if( time_or_system ) CHECK_EQ_MSG( code, FDCKPT_INFLATE_STREAM_END, "byte %lu", i );
    else if( second )    CHECK( code==FDCKPT_INFLATE_STREAM_END && strm.avail_in );
    else {
      CHECK_MSG( code==FDCKPT_ERR_CORRUPT || (code==FDCKPT_OK && !strm.avail_in), "byte %lu: %d", i, code );
      if( code==FDCKPT_ERR_CORRUPT ) {
        ulong len;
        CHECK( strm.msg && strm.error_code && strm.error_bit_offset<=8UL*gz_sz );
        CHECK( strstr( fdckpt_last_error()->message, "bit" ) && fdckpt_last_error()->code==FDCKPT_ERR_CORRUPT );
        CHECK_EQ( fdckpt_last_error()->offset, strm.error_bit_offset/8UL );
        CHECK_EQ( fdckpt_inflate( &strm ), FDCKPT_ERR_CORRUPT );
        CHECK_EQ( fdckpt_inflate_checkpoint( &strm, FDCKPT_INFLATE_CHECKPOINT_FULL, ckpt, sizeof(ckpt), &len, NULL ),
                  FDCKPT_ERR_INVALID_STATE );
        CHECK_EQ( fdckpt_inflate_reset( &strm ), FDCKPT_OK );
        CHECK( !strm.error_code && !strm.error_bit_offset && !strm.msg );
      }
    }
    gz[i] ^= 0x55;
    fdckpt_inflate_end( &strm );
  }
}

static void
test_arguments( void ) {
  fdckpt_inflate_t strm = FDCKPT_INFLATE_INIT;
  ulong len;
  int const bad = FDCKPT_ERR_INVALID_ARGUMENT;
  fdckpt_inflate_t * const odd = (fdckpt_inflate_t *)((uchar *)&strm+1);
  fdckpt_inflate_t * const nothing[] = { NULL, odd };
  for( ulong i=0UL; i<2UL; i++ ) {
    fdckpt_inflate_t * no = nothing[i];
    CHECK_EQ( fdckpt_inflate_init( no, FDCKPT_INFLATE_GZIP ), bad );
    CHECK_EQ( fdckpt_inflate( no ), bad );
    CHECK_EQ( fdckpt_inflate_reset( no ), bad );
    CHECK_EQ( fdckpt_inflate_end( no ), bad );
    CHECK_EQ( fdckpt_inflate_restore( no, ckpt, 1UL, NULL ), bad );
    CHECK_EQ( fdckpt_inflate_checkpoint( no, FDCKPT_INFLATE_CHECKPOINT_FULL, ckpt, sizeof(ckpt), &len, NULL ), bad );
    CHECK_EQ( fdckpt_inflate_checkpoint_bound( no, FDCKPT_INFLATE_CHECKPOINT_FULL ), 0UL );
  }
  CHECK_EQ( fdckpt_inflate_init( &strm, 4 ), bad );
  CHECK_EQ( fdckpt_inflate( &strm ), bad );
  CHECK_EQ( fdckpt_inflate_end( &strm ), bad );
  CHECK_EQ( fdckpt_inflate_init( &strm, FDCKPT_INFLATE_DEFLATE ), FDCKPT_OK );
  set( &strm, NULL, 1UL, 0UL, 1UL );
  CHECK_EQ( fdckpt_inflate( &strm ), bad );
  set( &strm, raw, 1UL, 0UL, 1UL ); strm.next_out = NULL;
  CHECK_EQ( fdckpt_inflate( &strm ), bad );
  set( &strm, raw, ULONG_MAX, 0UL, 1UL );
  CHECK_EQ( fdckpt_inflate( &strm ), bad );
  set( &strm, out+5, 10UL, 0UL, 10UL );
  CHECK_EQ( fdckpt_inflate( &strm ), bad );
  CHECK( strm.msg && !strcmp( strm.msg, fdckpt_last_error()->message ) );
  set( &strm, NULL, 0UL, 0UL, 0UL ); strm.next_out = NULL;
  CHECK_EQ( fdckpt_inflate( &strm ), FDCKPT_INFLATE_NEED_MORE );
  CHECK( !strm.msg );
  CHECK_EQ( fdckpt_inflate_checkpoint( &strm, 7, ckpt, sizeof(ckpt), &len, NULL ), bad );
  CHECK_EQ( fdckpt_inflate_checkpoint( &strm, FDCKPT_INFLATE_CHECKPOINT_FULL, ckpt, sizeof(ckpt), NULL, NULL ), bad );
  CHECK_EQ( fdckpt_inflate_checkpoint( &strm, FDCKPT_INFLATE_CHECKPOINT_FULL, NULL, 10UL, &len, NULL ), bad );
  CHECK_EQ( fdckpt_inflate_checkpoint( &strm, FDCKPT_INFLATE_CHECKPOINT_FULL, NULL, 0UL, &len, NULL ), FDCKPT_ERR_BUFFER_TOO_SMALL );
  CHECK_EQ( len, fdckpt_inflate_checkpoint_bound( &strm, FDCKPT_INFLATE_CHECKPOINT_FULL ) );
  CHECK_EQ( fdckpt_inflate_checkpoint_bound( &strm, -1 ), 0UL );
  CHECK_EQ( fdckpt_inflate_restore( &strm, NULL, 10UL, NULL ), bad );
  CHECK_EQ( fdckpt_inflate_restore( &strm, NULL, 0UL, NULL ), FDCKPT_ERR_CORRUPT );
  /* After all that it works. */
  set( &strm, raw, sizeof(raw), 0UL, 100UL );
  CHECK_EQ( fdckpt_inflate( &strm ), FDCKPT_INFLATE_STREAM_END );
  /* A checkpoint of another format. */
  CHECK_EQ( fdckpt_inflate_checkpoint( &strm, FDCKPT_INFLATE_CHECKPOINT_FULL, ckpt, sizeof(ckpt), &len, NULL ), FDCKPT_OK );
  CHECK_EQ( fdckpt_inflate_end( &strm ), FDCKPT_OK );
  CHECK_EQ( fdckpt_inflate_end( &strm ), bad );
  CHECK_EQ( fdckpt_inflate_init( &strm, FDCKPT_INFLATE_ZLIB ), FDCKPT_OK );
  CHECK_EQ( fdckpt_inflate_restore( &strm, ckpt, len, NULL ), FDCKPT_ERR_CORRUPT );
  CHECK_EQ( fdckpt_inflate_checkpoint( &strm, FDCKPT_INFLATE_CHECKPOINT_DEFLATE64_V0, ckpt, sizeof(ckpt), &len, NULL ), bad );
  CHECK_EQ( fdckpt_inflate_end( &strm ), FDCKPT_OK );
}

/* An index of the gzip file, which lies within another file. */

static void
test_index( void ) {
  FILE * file = tmpfile();
  FILE * kept = tmpfile();
  FILE * text_file = tmpfile();
  int fd = fileno( file ), index_fd = fileno( kept ), out_fd = fileno( text_file );
  CHECK( write( fd, "before", 6UL )==6L && write( fd, gz, gz_sz )==(ssize_t)gz_sz && write( fd, "after", 6UL )==6L );
  off_t position = lseek( fd, 0L, SEEK_CUR );

  for( int round=0; round<3; round++ ) {
    fdckpt_inflate_index_t * index = round<2
      ? fdckpt_inflate_index_build( fd, 6UL, round ? FDCKPT_UNTIL_EOF : gz_sz, FDCKPT_INFLATE_GZIP, 5UL, round ? -1 : out_fd )
      : fdckpt_inflate_index_load( index_fd, fd, 6UL, FDCKPT_UNTIL_EOF );
    CHECK( index );
    uint64_t size, points;
    CHECK_EQ( fdckpt_inflate_index_info( index, &size, &points ), FDCKPT_OK );
    CHECK_EQ( size, 2UL*TEXT_SZ );
    CHECK_EQ( points, (2UL*TEXT_SZ+4UL)/5UL );
    for( ulong from=2UL*TEXT_SZ+2UL; from<1000UL; from-- ) {
      char   some[ 10 ];
      size_t got   = 99UL;
      ulong  right = from>=2UL*TEXT_SZ ? 0UL : 2UL*TEXT_SZ-from<10UL ? 2UL*TEXT_SZ-from : 10UL;
      CHECK_EQ( fdckpt_inflate_index_read( index, from, some, 10UL, &got ), FDCKPT_OK );
      CHECK_EQ( got, right );
      for( ulong i=0UL; i<got; i++ ) CHECK_EQ( some[i], text[ (from+i)%TEXT_SZ ] );
    }
    if( round==1 ) CHECK_EQ( fdckpt_inflate_index_save( index, index_fd ), FDCKPT_OK );
    if( round==2 ) { /* A changed file */
      size_t got = 99UL;
      CHECK_EQ( pwrite( fd, "?", 1UL, (off_t)(6UL+20UL) ), 1L );
      CHECK_EQ( fdckpt_inflate_index_read( index, 0UL, out, sizeof(out), &got ), FDCKPT_ERR_INVALID_STATE );
      CHECK( strstr( fdckpt_last_error()->message, "differ from those the index was built from" ) );
      CHECK_EQ( got, 99UL );
      CHECK_EQ( pwrite( fd, gz+20, 1UL, (off_t)(6UL+20UL) ), 1L );
      CHECK_EQ( fdckpt_inflate_index_read( index, 0UL, out, sizeof(out), &got ), FDCKPT_OK );
      CHECK_EQ( got, 2UL*TEXT_SZ );
    }
    fdckpt_inflate_index_free( index );
  }
  CHECK_EQ( lseek( fd, 0L, SEEK_CUR ), position );
  memset( out, 0, sizeof(out) );
  CHECK_EQ( pread( out_fd, out, sizeof(out), 0L ), (long)(2UL*TEXT_SZ) );
  CHECK( !memcmp( out, text, TEXT_SZ ) && !memcmp( out+TEXT_SZ, text, TEXT_SZ ) );

  /* What is refused, and why */
  int const gzip = FDCKPT_INFLATE_GZIP;
  int pipes[2];
  CHECK( !pipe( pipes ) );
  fdckpt_inflate_index_t * nothing = fdckpt_inflate_index_build( pipes[0], 0UL, FDCKPT_UNTIL_EOF, gzip, 5UL, -1 );
  CHECK( !nothing && fdckpt_last_error()->code==FDCKPT_ERR_INVALID_STATE );
  struct { int fd; ulong start; ulong size; int format; ulong every; int out_fd; int code; } const bad[] = {
    { -1, 0UL,           FDCKPT_UNTIL_EOF, gzip, 5UL, -1,         FDCKPT_ERR_INVALID_ARGUMENT },
    { fd, gz_sz+13UL,    FDCKPT_UNTIL_EOF, gzip, 5UL, -1,         FDCKPT_ERR_INVALID_ARGUMENT },
    { fd, ULONG_MAX,     FDCKPT_UNTIL_EOF, gzip, 5UL, -1,         FDCKPT_ERR_INVALID_ARGUMENT },
    { fd, 6UL,           gz_sz+7UL,     gzip, 5UL, -1,         FDCKPT_ERR_INVALID_ARGUMENT },
    { fd, 6UL,           FDCKPT_UNTIL_EOF, 4,    5UL, -1,         FDCKPT_ERR_INVALID_ARGUMENT },
    { fd, 6UL,           FDCKPT_UNTIL_EOF, gzip, 0UL, -1,         FDCKPT_ERR_INVALID_ARGUMENT },
    { fd, 6UL,           FDCKPT_UNTIL_EOF, gzip, 5UL, -2,         FDCKPT_ERR_INVALID_ARGUMENT },
    { fd, 6UL,           FDCKPT_UNTIL_EOF, gzip, 5UL, pipes[0],   FDCKPT_ERR_IO       },
    { fd, 0UL,           FDCKPT_UNTIL_EOF, gzip, 5UL, -1,         FDCKPT_ERR_CORRUPT  },
    { fd, 6UL,           gz_sz-1UL,     gzip, 5UL, -1,         FDCKPT_ERR_CORRUPT  } };
  for( ulong i=0UL; i<sizeof(bad)/sizeof(bad[0]); i++ ) {
    nothing = fdckpt_inflate_index_build( bad[i].fd, bad[i].start, bad[i].size, bad[i].format, bad[i].every, bad[i].out_fd );
    CHECK( !nothing );
    CHECK_EQ_MSG( fdckpt_last_error()->code, bad[i].code, "%lu", i );
  }
  nothing = fdckpt_inflate_index_build( 0, ULONG_MAX, FDCKPT_UNTIL_EOF, gzip, 5UL, -1 ); /* Whatever it is */
  CHECK( !nothing && !strstr( fdckpt_last_error()->message, "negative" ) );
  char path[ 40 ];
  snprintf( path, sizeof(path), "/proc/self/fd/%d", fd );
  int unreadable = open( path, O_WRONLY );
  CHECK( !fdckpt_inflate_index_build( unreadable, 6UL, FDCKPT_UNTIL_EOF, gzip, 5UL, -1 ) );
  CHECK( fdckpt_last_error()->code==FDCKPT_ERR_IO && fdckpt_last_error()->errnum==EBADF && fdckpt_last_error()->offset==6UL );
  close( unreadable );
  CHECK( !fdckpt_inflate_index_load( fd, fd, 6UL, FDCKPT_UNTIL_EOF ) && fdckpt_last_error()->code==FDCKPT_ERR_FORMAT );
  CHECK( !fdckpt_inflate_index_load( index_fd, fd, 6UL, gz_sz ) && fdckpt_last_error()->code==FDCKPT_ERR_INVALID_STATE );
  CHECK( !fdckpt_inflate_index_load( index_fd, fd, 0UL, FDCKPT_UNTIL_EOF ) && fdckpt_last_error()->code==FDCKPT_ERR_INVALID_STATE );
  uchar byte;
  CHECK_EQ( pread( index_fd, &byte, 1UL, 60L ), 1L );
  byte ^= 1U;
  CHECK_EQ( pwrite( index_fd, &byte, 1UL, 60L ), 1L );
  CHECK( !fdckpt_inflate_index_load( index_fd, fd, 6UL, FDCKPT_UNTIL_EOF ) && fdckpt_last_error()->code==FDCKPT_ERR_CORRUPT );

  fdckpt_inflate_index_t * index = fdckpt_inflate_index_build( fd, 6UL, FDCKPT_UNTIL_EOF, gzip, 5UL, -1 );
  size_t got;
  CHECK_EQ( fdckpt_inflate_index_read( index, 0UL, NULL, 1UL, &got ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_inflate_index_read( index, 0UL, out, 1UL, NULL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_inflate_index_read( index, 0UL, NULL, 0UL, &got ), FDCKPT_OK );
  CHECK_EQ( fdckpt_inflate_index_read( index, ULONG_MAX, out, 1UL, &got ), FDCKPT_OK );
  CHECK_EQ( got, 0UL );
  CHECK_EQ( fdckpt_inflate_index_read( NULL, 0UL, out, 1UL, &got ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_inflate_index_save( NULL, fd ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_inflate_index_save( index, -1 ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_inflate_index_save( index, pipes[0] ), FDCKPT_ERR_IO );
  CHECK_EQ( fdckpt_inflate_index_info( index, NULL, NULL ), FDCKPT_OK );
  CHECK_EQ( fdckpt_inflate_index_info( NULL, NULL, NULL ), FDCKPT_ERR_INVALID_ARGUMENT );
  fdckpt_inflate_index_free( index );
  fdckpt_inflate_index_free( NULL );
  fclose( file ); fclose( kept ); fclose( text_file ); close( pipes[0] ); close( pipes[1] );
}

TEST_MAIN( "inflate" ) {
  gz_make();
  test_whole();
  test_every_byte( FDCKPT_INFLATE_CHECKPOINT_FULL );
  test_every_byte( FDCKPT_INFLATE_CHECKPOINT_COMPACT );
  test_damage();
  test_arguments();
  test_index();
}
