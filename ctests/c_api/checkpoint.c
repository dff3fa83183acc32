/* checkpoint.c: fdckpt_writer_* and fdckpt_reader_*: what is saved comes
   back, in all ways; what is wrong is refused, with code and detail. */

#include "test.h"

#define LARGE (1000000UL)

static uchar grid[ LARGE ];
static uchar copy[ LARGE ];
static char  dir[ 64 ];
static char  path[ 128 ];

static void
fill( void ) {
  ulong x = 88172645463325252UL;
  for( ulong i=0UL; i<LARGE; i++ ) {
    x ^= x<<13; x ^= x>>7; x ^= x<<17;
    grid[i] = (i%1000UL<300UL) ? (uchar)x : (uchar)(i>>8);
  }
}

static int cancel_after;

static int
progress( void * context, fdckpt_progress_t const * now ) {
  CHECK( context==(void *)path );
  CHECK_EQ( now->struct_size, sizeof(*now) );
  CHECK( now->data_bytes<=now->total_bytes );
  return !--cancel_after;
}

struct heard { ulong cnt; char name[64]; ulong frame; int code; };

static void
damaged( void * context, fdckpt_issue_t const * damage ) {
  struct heard * heard = (struct heard *)context;
  CHECK_EQ( damage->struct_size, sizeof(*damage) );
  heard->cnt++;
  snprintf( heard->name, sizeof(heard->name), "%s", damage->region ? damage->region : "" );
  heard->frame = damage->frame;
  heard->code  = damage->code;
  CHECK( damage->message[0] );
}

static void
save( int style, unsigned threads ) {
  int const step = 17;
  fdckpt_writer_options_t options = { .struct_size = sizeof(fdckpt_writer_options_t), .style = style, .threads = threads, .sync = FDCKPT_SYNC_NONE, .frame_size = 65536 };
  fdckpt_writer_t * writer = fdckpt_writer_open( path, &options );
  CHECK( writer );
  CHECK_EQ( fdckpt_writer_set_attribute( writer, "program", "test", 4UL ), FDCKPT_OK );
  CHECK_EQ( fdckpt_writer_add( writer, "grid",  grid,  LARGE        ), FDCKPT_OK );
  CHECK_EQ( fdckpt_writer_add( writer, "step",  &step, sizeof(step) ), FDCKPT_OK );
  CHECK_EQ( fdckpt_writer_add( writer, "empty", NULL,  0UL          ), FDCKPT_OK );
  CHECK_EQ( fdckpt_writer_commit( writer ), FDCKPT_OK );
  CHECK_EQ( fdckpt_writer_add( writer, "late", &step, sizeof(step) ), FDCKPT_ERR_INVALID_STATE );
  CHECK_EQ( fdckpt_writer_commit( writer ), FDCKPT_ERR_INVALID_STATE );
  fdckpt_writer_free( writer );
}

/* Styles region by region, and no checksums. */
static void
mixed( void ) {
  fdckpt_writer_options_t options = { .struct_size = sizeof(fdckpt_writer_options_t), .style = 2, .no_checksums = 1, .sync = FDCKPT_SYNC_NONE };
  fdckpt_writer_t * writer = fdckpt_writer_open( path, &options );
  CHECK_EQ( fdckpt_writer_add( writer, "first", grid, 1000UL ), FDCKPT_OK );
  CHECK_EQ( fdckpt_writer_set_style( writer, 1 ), FDCKPT_OK );
  CHECK_EQ( fdckpt_writer_add( writer, "second", grid, 1000UL ), FDCKPT_OK );
  CHECK_EQ( fdckpt_writer_commit( writer ), FDCKPT_OK );
  fdckpt_writer_free( writer );
  fdckpt_reader_t *    reader = fdckpt_reader_open( path, NULL );
  fdckpt_reader_info_t info = FDCKPT_READER_INFO_INIT;
  fdckpt_region_info_t       entry = FDCKPT_REGION_INFO_INIT;
  CHECK_EQ( fdckpt_reader_info( reader, &info ), FDCKPT_OK );
  CHECK( info.region_count==2UL && !info.has_checksums );
  CHECK_EQ( fdckpt_reader_find_region( reader, "first", &entry ), FDCKPT_OK );
  CHECK_EQ( entry.style, 2 );
  CHECK_EQ( fdckpt_reader_find_region( reader, "second", &entry ), FDCKPT_OK );
  CHECK_EQ( entry.style, 1 );
  fdckpt_reader_free( reader );
}

static void
load( fdckpt_reader_t * reader, int style ) {
  CHECK( reader );
  CHECK_EQ( fdckpt_reader_region_count( reader ), 3UL );
  fdckpt_reader_info_t info = FDCKPT_READER_INFO_INIT;
  CHECK_EQ( fdckpt_reader_info( reader, &info ), FDCKPT_OK );
  CHECK( info.region_count==3UL && info.attribute_count==1UL && info.data_bytes==LARGE+sizeof(int) && info.has_checksums );

  fdckpt_region_info_t entry = FDCKPT_REGION_INFO_INIT;
  CHECK_EQ( fdckpt_reader_find_region( reader, "step", &entry ), FDCKPT_OK );
  CHECK( entry.index==1UL && entry.size==sizeof(int) && !strcmp( entry.name, "step" ) && entry.style==style );
  CHECK_EQ( fdckpt_reader_region_at( reader, 2UL, &entry ), FDCKPT_OK );
  CHECK( !entry.size && entry.first_frame==FDCKPT_NO_FRAME && !entry.frame_count );
  CHECK_EQ( fdckpt_reader_region_at( reader, 0UL, &entry ), FDCKPT_OK );
  CHECK( entry.size==LARGE && !entry.first_frame && entry.frame_count==(LARGE+65535UL)/65536UL );
  fdckpt_frame_info_t frame = FDCKPT_FRAME_INFO_INIT;
  CHECK_EQ( fdckpt_reader_frame_at( reader, 1UL, &frame ), FDCKPT_OK );
  CHECK( frame.data_bytes==65536UL && frame.style==style && frame.offset && frame.file_bytes && frame.checksum );

  int step = 0;
  CHECK_EQ( fdckpt_reader_read( reader, "step", &step, sizeof(step) ), FDCKPT_OK );
  CHECK_EQ( step, 17 );
  CHECK_EQ( fdckpt_reader_read( reader, "empty", NULL, 0UL ), FDCKPT_OK );
  memset( copy, 0, LARGE );
  CHECK_EQ( fdckpt_reader_read_index( reader, 0UL, copy, LARGE ), FDCKPT_OK );
  CHECK( !memcmp( copy, grid, LARGE ) );
  memset( copy, 0, LARGE );
  CHECK_EQ( fdckpt_reader_read_range( reader, 0UL, 123456UL, copy, 200000UL ), FDCKPT_OK );
  CHECK( !memcmp( copy, grid+123456UL, 200000UL ) );
  memset( copy, 0, LARGE ); step = 0;
  fdckpt_read_request_t requests[2] = { { 1UL, &step, sizeof(step) }, { 0UL, copy, LARGE } };
  CHECK_EQ( fdckpt_reader_read_many( reader, requests, 2UL ), FDCKPT_OK );
  CHECK( step==17 && !memcmp( copy, grid, LARGE ) );
  CHECK_EQ( fdckpt_reader_read_many( reader, NULL, 0UL ), FDCKPT_OK );

  void const * data;
  size_t       size = 1UL;
  int          err  = fdckpt_reader_map( reader, 0UL, &data, &size );
  if( style==1 ) CHECK( !err && size==LARGE && !memcmp( data, grid, LARGE ) );
  else           CHECK( err==FDCKPT_ERR_INVALID_STATE && size==1UL );
  CHECK_EQ( fdckpt_reader_map( reader, 2UL, &data, NULL ), FDCKPT_OK );

  char const * key;
  CHECK_EQ( fdckpt_reader_get_attribute( reader, "program", &data, &size ), FDCKPT_OK );
  CHECK( size==4UL && !memcmp( data, "test", 4UL ) );
  CHECK_EQ( fdckpt_reader_attribute_at( reader, 0UL, &key, &data, &size ), FDCKPT_OK );
  CHECK( !strcmp( key, "program" ) && size==4UL );
  CHECK_EQ( fdckpt_reader_get_attribute( reader, "none", &data, &size ), FDCKPT_ERR_NOT_FOUND );
  CHECK_EQ( fdckpt_reader_attribute_at( reader, 1UL, &key, &data, &size ), FDCKPT_ERR_NOT_FOUND );
  CHECK_EQ( fdckpt_reader_verify( reader, NULL, NULL ), FDCKPT_OK );
}

/* What fd_restore_* needs, fdckpt_reader_frame_at tells. */

static void
restore_plainly( void ) {
  fdckpt_reader_t * reader = fdckpt_reader_open( path, NULL );
  fdckpt_reader_info_t info = FDCKPT_READER_INFO_INIT;
  CHECK_EQ( fdckpt_reader_info( reader, &info ), FDCKPT_OK );
  int    fd   = open( path, O_RDONLY );
  void * mem  = aligned_alloc( 8UL, FD_RESTORE_FOOTPRINT );
  void * rbuf = malloc( FD_RESTORE_RBUF_MIN );
  fd_restore_t * restore = fd_restore_init_stream( mem, fd, rbuf, FD_RESTORE_RBUF_MIN );
  CHECK( fd>=0 && restore );
  memset( copy, 0, LARGE );
  ulong done = 0UL;
  for( ulong i=0UL; i+1UL<info.frame_count; i++ ) { /* The last one has the small regions */
    fdckpt_frame_info_t frame = FDCKPT_FRAME_INFO_INIT;
    ulong                 off;
    CHECK_EQ( fdckpt_reader_frame_at( reader, i, &frame ), FDCKPT_OK );
    CHECK_EQ( fd_restore_open_advanced( restore, frame.style, &off ), FD_CHECKPT_SUCCESS );
    CHECK_EQ( off, frame.offset );
    CHECK_EQ( fd_restore_data( restore, copy+done, frame.data_bytes ), FD_CHECKPT_SUCCESS );
    CHECK_EQ( fd_restore_close( restore ), FD_CHECKPT_SUCCESS );
    done += frame.data_bytes;
  }
  CHECK( done==LARGE && !memcmp( copy, grid, LARGE ) );
  CHECK( fd_restore_fini( restore ) );
  free( rbuf ); free( mem ); close( fd );
  fdckpt_reader_free( reader );
}

static void
check_pipes( void ) {
  int fds[2];
  CHECK( !pipe( fds ) );
  fdckpt_writer_t * writer = fdckpt_writer_open_fd( fds[1], NULL );
  CHECK_EQ( fdckpt_writer_add( writer, "small", "1234", 4UL ), FDCKPT_OK );
  CHECK_EQ( fdckpt_writer_commit( writer ), FDCKPT_OK );
  fdckpt_writer_free( writer );
  close( fds[1] );
  fdckpt_reader_t * reader = fdckpt_reader_open_fd( fds[0], NULL );
  fdckpt_reader_info_t info = FDCKPT_READER_INFO_INIT;
  CHECK_EQ( fdckpt_reader_info( reader, &info ), FDCKPT_OK );
  CHECK_EQ( info.spool, FDCKPT_SPOOL_MEMORY );
  char small[4];
  CHECK_EQ( fdckpt_reader_read( reader, "small", small, 4UL ), FDCKPT_OK );
  CHECK( !memcmp( small, "1234", 4UL ) );
  fdckpt_reader_free( reader );
  close( fds[0] );
}

static void
check_damage( void ) {
  save( 2, 1U );
  fdckpt_reader_t * reader = fdckpt_reader_open( path, NULL );
  fdckpt_frame_info_t frame = FDCKPT_FRAME_INFO_INIT;
  CHECK_EQ( fdckpt_reader_frame_at( reader, 3UL, &frame ), FDCKPT_OK );
  fdckpt_reader_free( reader );
  int   fd = open( path, O_RDWR );
  uchar byte;
  CHECK( fd>=0 && pread( fd, &byte, 1UL, (off_t)frame.offset+100 )==1L );
  byte ^= 4U;
  CHECK( pwrite( fd, &byte, 1UL, (off_t)frame.offset+100 )==1L );

  reader = fdckpt_reader_open_fd( fd, NULL );
  CHECK_EQ( fdckpt_reader_read( reader, "grid", copy, LARGE ), FDCKPT_ERR_CORRUPT );
  fdckpt_error_t const * error = fdckpt_last_error();
  CHECK( error->code==FDCKPT_ERR_CORRUPT && error->frame==3UL && error->offset==frame.offset && !error->path );
  CHECK( !strcmp( error->region, "grid" ) && !strcmp( error->function, "fdckpt_reader_read" ) );
  int step;
  CHECK_EQ( fdckpt_reader_read( reader, "step", &step, sizeof(step) ), FDCKPT_OK );
  CHECK_EQ( fdckpt_reader_read_range( reader, 0UL, 3UL*65536UL+5UL, copy, 1UL ), FDCKPT_ERR_CORRUPT );
  CHECK_EQ( fdckpt_reader_read_range( reader, 0UL, 3UL*65536UL-1UL, copy, 1UL ), FDCKPT_OK );
  struct heard heard = { 0 };
  CHECK_EQ( fdckpt_reader_verify( reader, damaged, &heard ), FDCKPT_ERR_CORRUPT );
  CHECK( heard.cnt==1UL && !strcmp( heard.name, "grid" ) && heard.frame==3UL && heard.code==FDCKPT_ERR_CORRUPT );
  fdckpt_reader_free( reader );

  char to[ 300 ];
  snprintf( to, sizeof(to), "%s.salvaged", path );
  fdckpt_salvage_stats_t salvaged = FDCKPT_SALVAGE_STATS_INIT;
  CHECK_EQ( fdckpt_salvage_file( path, to, NULL, &salvaged ), FDCKPT_OK );
  CHECK( salvaged.index_found && salvaged.verified_count==2UL && salvaged.partial_count==2UL && salvaged.lost_count==1UL && !salvaged.unverified_count );
  reader = fdckpt_reader_open( to, NULL );
  CHECK_EQ( fdckpt_reader_read( reader, "partial/grid@0", copy, 3UL*65536UL ), FDCKPT_OK );
  CHECK( !memcmp( copy, grid, 3UL*65536UL ) );
  fdckpt_reader_free( reader );
  unlink( to );

  CHECK( !ftruncate( fd, 0 ) );
  CHECK( !fdckpt_reader_open( path, NULL ) );
  CHECK_EQ( fdckpt_last_error()->code, FDCKPT_ERR_FORMAT );
  CHECK( !ftruncate( fd, 1000 ) );
  close( fd );
  CHECK( !fdckpt_reader_open( path, NULL ) );
  error = fdckpt_last_error();
  CHECK( error->code==FDCKPT_ERR_FORMAT && !strcmp( error->path, path ) && error->frame==FDCKPT_NO_FRAME && !error->region );
  CHECK( strstr( error->message, path ) );
}

/* An old file stays, and nothing else does. */

static void
check_failures( void ) {
  save( 1, 1U );
  struct stat before, after;
  CHECK( !stat( path, &before ) );
  static char const * const bad[] = { "", "\xff\xfe", NULL, "there" };
  for( ulong i=0UL; i<4UL; i++ ) {
    fdckpt_writer_t * writer = fdckpt_writer_open( path, NULL );
    CHECK_EQ( fdckpt_writer_add( writer, "there", "x", 1UL ), FDCKPT_OK );
    CHECK_EQ( fdckpt_writer_add( writer, bad[i], "x", 1UL ), FDCKPT_ERR_INVALID_ARGUMENT );
    CHECK( fdckpt_last_error()->path && !strcmp( fdckpt_last_error()->path, path ) );
    CHECK_EQ( fdckpt_writer_add( writer, "fine", "x", 1UL ), FDCKPT_ERR_INVALID_ARGUMENT ); /* As before */
    CHECK_EQ( fdckpt_writer_commit( writer ), FDCKPT_ERR_INVALID_ARGUMENT );
    if( i==3UL ) CHECK( !strcmp( fdckpt_last_error()->region, "there" ) && !strcmp( fdckpt_last_error()->path, path ) );
    fdckpt_writer_free( writer );
  }
  fdckpt_writer_options_t options = { .struct_size = sizeof(fdckpt_writer_options_t), .on_progress = progress, .context = path, .frame_size = 65536 };
  cancel_after = 5;
  fdckpt_writer_t * writer = fdckpt_writer_open( path, &options );
  CHECK_EQ( fdckpt_writer_add( writer, "grid", grid, LARGE ), FDCKPT_ERR_CANCELLED );
  CHECK_EQ( fdckpt_writer_commit( writer ), FDCKPT_ERR_CANCELLED );
  fdckpt_writer_free( writer );
  writer = fdckpt_writer_open( path, NULL );
  CHECK_EQ( fdckpt_writer_add( writer, "x", "x", 1UL ), FDCKPT_OK );
  fdckpt_writer_abort( writer );
  CHECK_EQ( fdckpt_writer_commit( writer ), FDCKPT_ERR_INVALID_STATE );
  fdckpt_writer_free( writer );
  writer = fdckpt_writer_open( path, NULL );
  fdckpt_writer_free( writer ); /* Not committed */
  CHECK( !stat( path, &after ) );
  CHECK( before.st_ino==after.st_ino && before.st_size==after.st_size );

  /* One thread: of several, another one may have done it all before this one is asked. */
  fdckpt_reader_options_t reading = { .struct_size = sizeof(fdckpt_reader_options_t), .on_progress = progress, .context = path, .threads = 1U };
  fdckpt_reader_t * reader = fdckpt_reader_open( path, &reading );
  cancel_after = 3;
  CHECK_EQ( fdckpt_reader_read_index( reader, 0UL, copy, LARGE ), FDCKPT_ERR_CANCELLED );
  cancel_after = 3;
  CHECK_EQ( fdckpt_reader_verify( reader, NULL, NULL ), FDCKPT_ERR_CANCELLED );
  CHECK_EQ( fdckpt_reader_read( reader, "none", copy, 1UL ), FDCKPT_ERR_NOT_FOUND );
  CHECK( !strcmp( fdckpt_last_error()->region, "none" ) && fdckpt_last_error()->path && !strcmp( fdckpt_last_error()->path, path ) );
  CHECK_EQ( fdckpt_reader_read_index( reader, 3UL, copy, 1UL ), FDCKPT_ERR_NOT_FOUND );
  CHECK_EQ( fdckpt_reader_read_index( reader, ~0UL, copy, 1UL ), FDCKPT_ERR_NOT_FOUND );
  CHECK_EQ( fdckpt_reader_read_index( reader, 1UL, copy, 5UL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_read_index( reader, 1UL, NULL, 4UL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK( fdckpt_last_error()->path && !strcmp( fdckpt_last_error()->path, path ) );
  CHECK_EQ( fdckpt_reader_read_range( reader, 1UL, 3UL, copy, 2UL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_read_many( reader, NULL, 1UL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_map( reader, 0UL, NULL, NULL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_info( reader, NULL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_region_at( reader, 0UL, NULL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_find_region( reader, NULL, NULL ), FDCKPT_ERR_INVALID_ARGUMENT );
  fdckpt_reader_free( reader );
}

/* The progress callback must not use the writer. */

static int
meddle( void * context, fdckpt_progress_t const * now ) {
  fdckpt_writer_t * writer = *(fdckpt_writer_t **)context;
  CHECK( now->data_bytes );
  CHECK_EQ( fdckpt_writer_add( writer, "meddled", "x", 1UL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_writer_commit( writer ), FDCKPT_ERR_INVALID_ARGUMENT );
  fdckpt_writer_abort( writer );
  fdckpt_writer_free( writer );
  return 0;
}

static void
check_meddling( void ) {
  fdckpt_writer_t * writer;
  fdckpt_writer_options_t options = { .struct_size = sizeof(fdckpt_writer_options_t), .on_progress = meddle, .context = &writer, .sync = FDCKPT_SYNC_NONE, .style = 2 };
  writer = fdckpt_writer_open( path, &options );
  CHECK_EQ( fdckpt_writer_add( writer, "grid", grid, LARGE ), FDCKPT_OK );
  CHECK_EQ( fdckpt_writer_add( writer, "small", "x", 1UL ), FDCKPT_OK );
  CHECK_EQ( fdckpt_writer_commit( writer ), FDCKPT_OK );
  fdckpt_writer_free( writer );
  fdckpt_reader_t * reader = fdckpt_reader_open( path, NULL );
  CHECK_EQ( fdckpt_reader_region_count( reader ), 2UL );
  CHECK_EQ( fdckpt_reader_verify( reader, NULL, NULL ), FDCKPT_OK );
  fdckpt_reader_free( reader );
}

static void
check_null( void ) {
  fdckpt_region_info_t        entry = FDCKPT_REGION_INFO_INIT;
  fdckpt_reader_info_t  info = FDCKPT_READER_INFO_INIT;
  fdckpt_frame_info_t frame = FDCKPT_FRAME_INFO_INIT;
  void const *          data;
  char const *          key;
  size_t                size;
  CHECK( !fdckpt_writer_open( NULL, NULL ) );
  CHECK( !fdckpt_writer_open( "/no/such/directory/file", NULL ) );
  CHECK( fdckpt_last_error()->code==FDCKPT_ERR_IO && fdckpt_last_error()->errnum==ENOENT );
  CHECK( !fdckpt_writer_open_fd( -1, NULL ) );
  fdckpt_writer_options_t options = { .struct_size = sizeof(fdckpt_writer_options_t), .style = 7 };
  CHECK( !fdckpt_writer_open( path, &options ) );
  options = (fdckpt_writer_options_t){ .struct_size = sizeof(fdckpt_writer_options_t), .frame_size = 5UL };
  CHECK( !fdckpt_writer_open( path, &options ) );
  options = (fdckpt_writer_options_t){ .struct_size = sizeof(fdckpt_writer_options_t), .sync = 9 };
  CHECK( !fdckpt_writer_open( path, &options ) );
  CHECK_EQ( fdckpt_writer_add( NULL, "x", "x", 1UL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_writer_set_attribute( NULL, "x", "x", 1UL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_writer_set_style( NULL, 1 ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_writer_commit( NULL ), FDCKPT_ERR_INVALID_ARGUMENT );
  fdckpt_writer_abort( NULL );
  fdckpt_writer_free( NULL );
  CHECK( !fdckpt_reader_open( NULL, NULL ) );
  CHECK( !fdckpt_reader_open( "/no/such/file", NULL ) );
  CHECK( !fdckpt_reader_open_fd( -1, NULL ) );
  CHECK( !fdckpt_reader_open_memory( NULL, 0UL, NULL ) );
  CHECK( !fdckpt_reader_open_memory( NULL, 1UL, NULL ) );
  CHECK( !fdckpt_reader_open_memory( grid, LARGE, NULL ) );
  CHECK_EQ( fdckpt_reader_region_count( NULL ), 0UL );
  CHECK_EQ( fdckpt_reader_info( NULL, &info ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_region_at( NULL, 0UL, &entry ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_find_region( NULL, "x", &entry ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_frame_at( NULL, 0UL, &frame ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_read( NULL, "x", copy, 1UL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_read_index( NULL, 0UL, copy, 1UL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_read_range( NULL, 0UL, 0UL, copy, 1UL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_read_many( NULL, NULL, 0UL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_map( NULL, 0UL, &data, &size ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_get_attribute( NULL, "x", &data, &size ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_attribute_at( NULL, 0UL, &key, &data, &size ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_reader_verify( NULL, NULL, NULL ), FDCKPT_ERR_INVALID_ARGUMENT );
  fdckpt_reader_free( NULL );
  CHECK_EQ( fdckpt_salvage_file( NULL, path, NULL, NULL ), FDCKPT_ERR_INVALID_ARGUMENT );
  CHECK_EQ( fdckpt_salvage_file( "/no/such/file", path, NULL, NULL ), FDCKPT_ERR_IO );
}

TEST_MAIN( "checkpoint" ) {
  snprintf( dir, sizeof(dir), "/tmp/fdckpt-checkpoint-XXXXXX" );
  if( !mkdtemp( dir ) ) { perror( dir ); abort(); }
  snprintf( path, sizeof(path), "%s/state.ckpt", dir );
  fill();
  for( int style=1; style<=2; style++ ) {
    for( unsigned threads=1U; threads<=3U; threads++ ) {
      save( style, threads );
      fdckpt_reader_options_t options = { .struct_size = sizeof(fdckpt_reader_options_t), .threads = threads };
      fdckpt_reader_t * reader = fdckpt_reader_open( path, &options );
      load( reader, style );
      fdckpt_reader_free( reader );
      int fd = open( path, O_RDONLY );
      reader = fdckpt_reader_open_fd( fd, &options );
      close( fd );
      load( reader, style );
      fdckpt_reader_free( reader );
    }
    restore_plainly();
  }
  mixed();
  check_pipes();
  check_damage();
  check_failures();
  check_meddling();
  check_null();
  unlink( path );
  CHECK( !rmdir( dir ) ); /* Nothing else is left */
}
