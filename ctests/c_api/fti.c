/* fti.c: checkpoint files of FTI, through the C API: what each function
   does, and what it does with arguments that are not acceptable. */

#include "test.h"

/* NOT_LOGGED( want, call ) checks that a call returns this code, logs
   nothing, and that fdckpt_last_error tells the code. */

#define NOT_LOGGED( want, call ) do {                 \
    test_before = test_logged;                        \
    CHECK_EQ( (call), (want) );                       \
    CHECK_EQ( test_logged, test_before );             \
    CHECK_EQ( fdckpt_last_error()->code, (want) );    \
  } while(0)

/* FAILED( want, call ) is for calls that return NULL. */

#define FAILED( want, call ) do { REFUSED( call ); CHECK_EQ( fdckpt_last_error()->code, (want) ); } while(0)

static int const generations[] = { FDCKPT_FTI_FORMAT_1_1, FDCKPT_FTI_FORMAT_1_2, FDCKPT_FTI_FORMAT_1_3, FDCKPT_FTI_FORMAT_1_4_0, FDCKPT_FTI_FORMAT_1_4_1, FDCKPT_FTI_FORMAT_POST_1_6 };

static char dir[ 64 ];
static char path  [ 128 ];
static char other [ 128 ];

static uchar *
file_bytes( char const * name,
            ulong *      sz ) {
  int fd = open( name, O_RDONLY );
  if( fd<0 ) { perror( name ); abort(); }
  uchar * bytes = test_slurp( fd, sz );
  close( fd );
  return bytes;
}

static void
write_file( char const *  name,
            uchar const * bytes,
            ulong         sz ) {
  int fd = open( name, O_WRONLY|O_CREAT|O_TRUNC, 0600 );
  if( fd<0 ) { perror( name ); abort(); }
  test_write_all( fd, bytes, sz );
  close( fd );
}

struct reported {
  ulong cnt;
  ulong damage;
  fdckpt_fti_file_issue_t last;
  char  field[ 32 ];
  char  text[ 512 ];
};

static void
tell( void *                           context,
      fdckpt_fti_file_issue_t const * finding ) {
  struct reported * reported = (struct reported *)context;
  reported->cnt++;
  reported->damage += finding->severity==FDCKPT_FTI_SEVERITY_CORRUPT;
  CHECK( !strcmp( finding->path, path ) );
  CHECK_EQ( finding->struct_size, sizeof(*finding) );
  CHECK( strstr( finding->message, finding->actual )!=NULL );
  CHECK( strstr( finding->message, finding->expected )!=NULL );
  if( reported->cnt==1UL ) {
    reported->last = *finding;
    snprintf( reported->field, sizeof(reported->field), "%s", finding->field );
    snprintf( reported->text,  sizeof(reported->text),  "%s", finding->message  );
  }
}

static void
tell_difference( void *                              context,
                 fdckpt_fti_file_difference_t const * difference ) {
  CHECK_EQ( difference->struct_size, sizeof(*difference) );
  fdckpt_fti_file_difference_t * to = (fdckpt_fti_file_difference_t *)context;
  to[ difference->kind ] = *difference;
}

/* What a program with FTI does: saves, grows, saves, restarts. */

static void
save_and_recover( int generation,
                  int threads ) {
  ulong  grid_sz = 300000UL;
  uchar * grid   = (uchar *)test_alloc( grid_sz );
  uchar * want   = (uchar *)test_alloc( grid_sz );
  int     step   = 7;
  test_fill( grid, grid_sz, (ulong)generation );
  memcpy( want, grid, grid_sz );
  fdckpt_fti_options_t options = {
    .struct_size = sizeof(fdckpt_fti_options_t), .format = generation, .ckpt_id = 1, .threads = threads, .sync = FDCKPT_SYNC_NONE };
  fdckpt_fti_t * fti = fdckpt_fti_new();
  CHECK( fti!=NULL );
  WORKS( fdckpt_fti_protect( fti, 5, &step, sizeof(step) ) );
  WORKS( fdckpt_fti_protect( fti, -3, grid, 1000UL ) );
  WORKS( fdckpt_fti_protect( fti, 9, NULL, 0UL ) );
  WORKS( fdckpt_fti_checkpoint( fti, path, &options ) );
  WORKS( fdckpt_fti_protect( fti, -3, grid, grid_sz ) );
  uint64_t size = 0UL;
  WORKS( fdckpt_fti_size( fti, generation, &size ) );
  WORKS( fdckpt_fti_checkpoint( fti, path, &options ) );
  fdckpt_fti_free( fti );
  CHECK_EQ( test_file_cnt( dir ), 1 );
  ulong sz;
  free( file_bytes( path, &sz ) );
  CHECK_EQ( sz, size );

  /* Another process. */
  memset( grid, 0, grid_sz );
  step = 0;
  fti  = fdckpt_fti_new();
  WORKS( fdckpt_fti_file_variable_size( path, -3, &size ) );
  CHECK_EQ( size, grid_sz );
  NOT_LOGGED( FDCKPT_ERR_NOT_FOUND, fdckpt_fti_file_variable_size( path, 4, &size ) );
  WORKS( fdckpt_fti_protect( fti, 5, &step, sizeof(step) ) );
  FAILS( FDCKPT_ERR_INVALID_STATE, fdckpt_fti_recover( fti, path, threads ) );
  WORKS( fdckpt_fti_recover_var( fti, path, 5 ) );
  CHECK_EQ( step, 7 );
  NOT_LOGGED( FDCKPT_ERR_NOT_FOUND, fdckpt_fti_recover_var( fti, path, -3 ) );
  WORKS( fdckpt_fti_protect( fti, -3, grid, grid_sz-1UL ) );
  WORKS( fdckpt_fti_protect( fti, 9, NULL, 0UL ) );
  FAILS( FDCKPT_ERR_INVALID_STATE, fdckpt_fti_recover( fti, path, threads ) );
  FAILS( FDCKPT_ERR_INVALID_STATE, fdckpt_fti_recover_var( fti, path, -3 ) );
  WORKS( fdckpt_fti_protect( fti, -3, grid, grid_sz ) );
  step = 0;
  WORKS( fdckpt_fti_recover( fti, path, threads ) );
  CHECK_EQ( step, 7 );
  CHECK( !memcmp( grid, want, grid_sz ) );

  /* The places go on across the restart: two blocks, of which none is added. */
  WORKS( fdckpt_fti_checkpoint( fti, path, &options ) );
  fdckpt_fti_file_t * file = fdckpt_fti_file_open( path );
  CHECK( file!=NULL );
  fdckpt_fti_file_header_t header = FDCKPT_FTI_FILE_HEADER_INIT;
  WORKS( fdckpt_fti_file_header( file, &header ) );
  CHECK_EQ( header.format, generation );
  CHECK_EQ( header.block_count, 2 );
  CHECK_EQ( header.container_count, 4 );
  CHECK_EQ( header.variable_count, 3 );
  CHECK_EQ( header.file_size, sz );
  CHECK_EQ( header.group_max_file_size, -1 );
  CHECK_EQ( header.ckpt_id, generation<=FDCKPT_FTI_FORMAT_1_2 ? -1 : 1 );
  CHECK_EQ( strlen( (char const *)header.checksum ), 32 );
  ulong checksum_at = header.offset;
  fdckpt_fti_file_variable_t variable = FDCKPT_FTI_FILE_VARIABLE_INIT;
  WORKS( fdckpt_fti_file_variable( file, 1UL, &variable ) );
  CHECK_EQ( variable.id, -3 );
  CHECK_EQ( variable.size, grid_sz );
  CHECK_EQ( variable.container_count, 2 );
  NOT_LOGGED( FDCKPT_ERR_NOT_FOUND, fdckpt_fti_file_variable( file, 3UL, &variable ) );
  fdckpt_fti_file_container_t container = FDCKPT_FTI_FILE_CONTAINER_INIT;
  WORKS( fdckpt_fti_file_container( file, 3UL, &container ) );
  CHECK_EQ( container.id, -3 );
  CHECK_EQ( container.container_id, 1 );
  CHECK_EQ( container.block_index, 1 );
  CHECK_EQ( container.dptr, 1000 );
  CHECK_EQ( container.chunk_size, grid_sz-1000UL );
  CHECK_EQ( container.has_content, 1 );
  CHECK_EQ( container.idx, generation<=FDCKPT_FTI_FORMAT_1_3 ? 1 : -1 );
  NOT_LOGGED( FDCKPT_ERR_NOT_FOUND, fdckpt_fti_file_container( file, 4UL, &container ) );
  memset( grid, 0, grid_sz );
  WORKS( fdckpt_fti_file_extract( file, -3, grid, grid_sz ) );
  CHECK( !memcmp( grid, want, grid_sz ) );
  struct reported reported = { 0 };
  WORKS( fdckpt_fti_file_verify( file, threads, tell, &reported ) );
  CHECK_EQ( reported.cnt, 0 );

  /* Other generations have the same in them. */
  uint64_t cnt = 99UL;
  for( int to=FDCKPT_FTI_FORMAT_1_1; to<=FDCKPT_FTI_FORMAT_POST_1_6; to++ ) {
    options.format = to;
    WORKS( fdckpt_fti_file_convert( file, other, &options ) );
    fdckpt_fti_file_t * converted = fdckpt_fti_file_open( other );
    WORKS( fdckpt_fti_file_header( converted, &header ) );
    CHECK_EQ( header.format, to );
    WORKS( fdckpt_fti_file_diff( file, converted, NULL, NULL, &cnt ) );
    CHECK_EQ( cnt, 0 );
    fdckpt_fti_file_free( converted );
  }
  fdckpt_fti_file_free( file );

  /* A damaged byte is reported, and nothing is recovered. */
  uchar * bytes = file_bytes( path, &sz );
  bytes[ container.fptr+12345L ] ^= 4U;
  write_file( path, bytes, sz );
  file = fdckpt_fti_file_open( path );
  CHECK( file!=NULL );
  NOT_LOGGED( FDCKPT_ERR_VERIFY_FAILED, fdckpt_fti_file_verify( file, threads, NULL, NULL ) );
  NOT_LOGGED( FDCKPT_ERR_VERIFY_FAILED, fdckpt_fti_file_verify( file, threads, tell, &reported ) );
  CHECK( !strcmp( reported.field, "data" ) );
  CHECK_EQ( reported.last.variable_id, -3 );
  CHECK_EQ( reported.last.container_index, 1 );
  CHECK_EQ( reported.last.offset, container.fptr );
  CHECK( strstr( reported.text, "variable -3, container 1" )!=NULL );
  FAILS( FDCKPT_ERR_CORRUPT, fdckpt_fti_file_extract( file, -3, grid, grid_sz ) );
  CHECK_EQ( fdckpt_last_error()->offset, container.fptr );
  WORKS( fdckpt_fti_file_extract( file, 5, &step, sizeof(step) ) );
  FAILS( FDCKPT_ERR_CORRUPT, fdckpt_fti_file_convert( file, other, &options ) );
  fdckpt_fti_file_t * intact = fdckpt_fti_file_open( other );
  fdckpt_fti_file_difference_t differences[ 6 ] = { { 0, 0, 0, 0, 0 } };
  WORKS( fdckpt_fti_file_diff( file, intact, tell_difference, differences, &cnt ) );
  CHECK_EQ( cnt, 1 );
  CHECK_EQ( differences[ FDCKPT_FTI_DIFF_DATA ].variable_id, -3 );
  CHECK_EQ( differences[ FDCKPT_FTI_DIFF_DATA ].first, 13345 );
  CHECK_EQ( differences[ FDCKPT_FTI_DIFF_DATA ].second, 1 );
  fdckpt_fti_file_free( intact );
  fdckpt_fti_file_free( file );
  FAILS( FDCKPT_ERR_CORRUPT, fdckpt_fti_recover( fti, path, threads ) );
  FAILS( FDCKPT_ERR_CORRUPT, fdckpt_fti_file_repair( path, FDCKPT_SYNC_DATA, &cnt ) );
  CHECK_EQ( cnt, 1 );

  /* A damaged checksum is repaired. */
  bytes[ container.fptr+12345L ] ^= 4U;
  bytes[ checksum_at+3UL ] ^= 1U;
  write_file( path, bytes, sz );
  WORKS( fdckpt_fti_file_repair( path, FDCKPT_SYNC_FULL, &cnt ) );
  CHECK( cnt>0UL );
  WORKS( fdckpt_fti_file_repair( path, FDCKPT_SYNC_FULL, &cnt ) );
  CHECK_EQ( cnt, 0 );
  memset( grid, 0, grid_sz );
  WORKS( fdckpt_fti_recover( fti, path, threads ) );
  CHECK( !memcmp( grid, want, grid_sz ) );
  free( bytes );

  /* Without a variable all is laid out anew. */
  WORKS( fdckpt_fti_unprotect( fti, 9 ) );
  NOT_LOGGED( FDCKPT_ERR_NOT_FOUND, fdckpt_fti_unprotect( fti, 9 ) );
  options.format = generation;
  WORKS( fdckpt_fti_checkpoint( fti, path, &options ) );
  file = fdckpt_fti_file_open( path );
  WORKS( fdckpt_fti_file_header( file, &header ) );
  CHECK_EQ( header.block_count, 1 );
  fdckpt_fti_file_free( file );
  fdckpt_fti_free( fti );
  unlink( other );
  unlink( path );
  CHECK_EQ( test_file_cnt( dir ), 0 );
  free( want );
  free( grid );
}

/* Differential checkpoints, in both modes, with a restart between them. */

static void
update_and_recover( int generation,
                    int mode,
                    int threads ) {
  ulong   sz   = 300000UL;
  uchar * grid = (uchar *)test_alloc( sz );
  uchar * want = (uchar *)test_alloc( sz );
  test_fill( grid, sz, (ulong)generation );
  fdckpt_fti_options_t options = {
    .struct_size = sizeof(fdckpt_fti_options_t), .format = generation, .ckpt_id = 1, .threads = threads, .sync = FDCKPT_SYNC_DATA };
  fdckpt_fti_update_options_t update = { .struct_size = sizeof(fdckpt_fti_update_options_t), .block_size = 1000, .hash = FDCKPT_FTI_HASH_CRC32, .mode = mode, .save_hashes = 1 };
  fdckpt_fti_update_stats_t updated = FDCKPT_FTI_UPDATE_STATS_INIT;
  fdckpt_fti_t * fti = fdckpt_fti_new();
  WORKS( fdckpt_fti_protect( fti, 1, grid, sz ) );
  WORKS( fdckpt_fti_update( fti, path, &options, &update, &updated ) );
  CHECK_EQ( updated.is_full,    1      );
  CHECK_EQ( updated.block_count,  300    );
  CHECK_EQ( updated.changed_block_count, 300    );
  CHECK_EQ( updated.changed_bytes,   300000 );
  CHECK_EQ( updated.hashes_saved, 1  );
  fdckpt_fti_free( fti );

  /* Another process, and two blocks that are neighbours. */
  memcpy( want, grid, sz );
  memset( grid, 0, sz );
  fti = fdckpt_fti_new();
  WORKS( fdckpt_fti_protect( fti, 1, grid, sz ) );
  WORKS( fdckpt_fti_recover( fti, path, threads ) );
  CHECK( !memcmp( grid, want, sz ) );
  grid[ 4999 ]++;
  grid[ 5000 ]++;
  options.ckpt_id = 2;
  WORKS( fdckpt_fti_update( fti, path, &options, &update, &updated ) );
  CHECK_EQ( updated.is_full,    0    );
  CHECK_EQ( updated.changed_block_count, 2    );
  CHECK_EQ( updated.changed_bytes,   2000 );
  WORKS( fdckpt_fti_update( fti, path, &options, &update, NULL ) );
  memcpy( want, grid, sz );
  memset( grid, 0, sz );
  WORKS( fdckpt_fti_recover( fti, path, threads ) );
  CHECK( !memcmp( grid, want, sz ) );
  WORKS( fdckpt_fti_update( fti, path, &options, NULL, &updated ) ); /* Other blocks: all is written */
  CHECK_EQ( updated.is_full,   1  );
  CHECK_EQ( updated.block_count, 19 );

  /* Damage, and a copy of the file that is recovered in its place: what was kept of the file says nothing of the damage. */
  WORKS( fdckpt_fti_update( fti, path, &options, &update, NULL ) );
  ulong   file_sz;
  int     fd    = open( path, O_RDONLY );
  uchar * bytes = test_slurp( fd, &file_sz );
  close( fd );
  write_file( other, bytes, file_sz );
  bytes[ 7 ]++;
  fd = open( path, O_WRONLY );
  CHECK( pwrite( fd, bytes, 10UL, 0L )==10L );
  close( fd );
  free( bytes );
  FAILS( FDCKPT_ERR_CORRUPT, fdckpt_fti_recover( fti, path, threads ) );
  WORKS( fdckpt_fti_recover( fti, other, threads ) );
  WORKS( fdckpt_fti_update( fti, path, &options, &update, &updated ) );
  CHECK_EQ( updated.is_full, 1 );
  WORKS( fdckpt_fti_recover( fti, path, threads ) );
  CHECK( !memcmp( grid, want, sz ) );
  unlink( other );
  fdckpt_fti_free( fti );
  char name[ 160 ];
  snprintf( name, sizeof(name), "%s.hashes",  path ); unlink( name );
  snprintf( name, sizeof(name), "%s.journal", path ); CHECK_EQ( unlink( name ), mode==FDCKPT_FTI_UPDATE_JOURNALED ? 0 : -1 );
  unlink( path );
  CHECK_EQ( test_file_cnt( dir ), 0 );
  free( want );
  free( grid );
}

static void
prepare_and_settle( void ) {
  uchar grid[ 5000 ] = { 0 };
  int   pending      = 77;
  int   ckpt_id      = 77;
  fdckpt_fti_options_t options = { .struct_size = sizeof(fdckpt_fti_options_t), .format = FDCKPT_FTI_FORMAT_POST_1_6, .ckpt_id = 1 };
  fdckpt_fti_update_stats_t updated = { .struct_size = sizeof(fdckpt_fti_update_stats_t), .is_full = 77 };
  fdckpt_fti_t *       fti     = fdckpt_fti_new();
  WORKS( fdckpt_fti_protect( fti, 1, grid, sizeof(grid) ) );
  WORKS( fdckpt_fti_update( fti, path, &options, NULL, NULL ) );
  WORKS( fdckpt_fti_transaction_state( path, &pending, &ckpt_id ) );
  CHECK_EQ( pending, FDCKPT_FTI_TRANSACTION_IDLE );
  CHECK_EQ( ckpt_id, 0 );
  for( int resolution=FDCKPT_FTI_COMMIT; resolution<=FDCKPT_FTI_ROLLBACK; resolution++ ) {
    options.ckpt_id++;
    grid[ 17 ]++;
    WORKS( fdckpt_fti_prepare( fti, path, &options, NULL, &updated ) );
    CHECK_EQ( updated.is_full, resolution==FDCKPT_FTI_ROLLBACK ); /* After a restart */
    grid[ 17 ] = 99;
    WORKS( fdckpt_fti_transaction_state( path, &pending, &ckpt_id ) );
    CHECK_EQ( pending, FDCKPT_FTI_TRANSACTION_PREPARED );
    CHECK_EQ( ckpt_id, options.ckpt_id );
    FAILS( FDCKPT_ERR_INVALID_STATE, fdckpt_fti_recover( fti, path, 1 ) );
    FAILED( FDCKPT_ERR_INVALID_STATE, fdckpt_fti_file_open( path ) );
    FAILS( FDCKPT_ERR_INVALID_STATE, fdckpt_fti_update( fti, path, &options, NULL, &updated ) );
    FAILS( FDCKPT_ERR_INVALID_STATE, fdckpt_fti_prepare( fti, path, &options, NULL, &updated ) );
    WORKS( fdckpt_fti_resolve( path, resolution ) );
    WORKS( fdckpt_fti_resolve( path, resolution ) );
    WORKS( fdckpt_fti_recover( fti, path, 1 ) );
    CHECK_EQ( grid[ 17 ], 1 );
  }

  fdckpt_fti_update_options_t update = { .struct_size = sizeof(fdckpt_fti_update_options_t), .mode = FDCKPT_FTI_UPDATE_IN_PLACE };
  updated.is_full = 77;
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_prepare( fti,  path, &options, &update, &updated ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_prepare( NULL, path, &options, NULL,    &updated ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_update ( NULL, path, &options, NULL,    &updated ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_update ( fti,  NULL, &options, NULL,    &updated ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_update ( fti,  "/",  &options, NULL,    &updated ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_update ( fti,  path, NULL,     NULL,    &updated ) );
# define SIZED .struct_size = sizeof(fdckpt_fti_update_options_t),
  static fdckpt_fti_update_options_t const bad[] = {
    { SIZED .block_size = 511 }, { SIZED .block_size = 65536 }, { SIZED .block_size = -1 }, { SIZED .hash = 3 },
    { SIZED .hash = -1 }, { SIZED .mode = 2 } };
# undef SIZED
  for( ulong i=0UL; i<sizeof(bad)/sizeof(bad[0]); i++ ) {
    FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_update( fti, path, &options, &bad[ i ], &updated ) );
  }
  options.format = FDCKPT_FTI_FORMAT_1_2;
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_update( fti, path, &options, NULL, &updated ) );
  options.format = FDCKPT_FTI_FORMAT_POST_1_6;
  FAILS( FDCKPT_ERR_IO, fdckpt_fti_update( fti, "/nowhere/at/all", &options, NULL, &updated ) );
  CHECK_EQ( updated.is_full, 77 );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_resolve( NULL, FDCKPT_FTI_COMMIT ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_resolve( path, 0 ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_resolve( path, 3 ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_transaction_state( NULL, &pending, &ckpt_id ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_transaction_state( path, NULL,     &ckpt_id ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_transaction_state( path, &pending, NULL     ) );
  fdckpt_fti_free( fti );
  char name[ 160 ];
  snprintf( name, sizeof(name), "%s.journal", path ); unlink( name );
  unlink( path );
}

static void
arguments( void ) {
  int      x    = 1;
  uint64_t size = 77UL;
  fdckpt_fti_options_t const good    = { .struct_size = sizeof(fdckpt_fti_options_t), .format = FDCKPT_FTI_FORMAT_POST_1_6, .ckpt_id = 1 };
  fdckpt_fti_options_t       options = good;
  fdckpt_fti_t *             fti     = fdckpt_fti_new();
  WORKS( fdckpt_fti_protect( fti, 1, &x, sizeof(x) ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_protect( NULL, 1, &x, sizeof(x) ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_protect( fti, 2, NULL, 1UL ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_protect( fti, 2, &x, SIZE_MAX ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_unprotect( NULL, 1 ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_checkpoint( NULL, path, &good ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_checkpoint( fti, NULL, &good ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_checkpoint( fti, path, NULL ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_checkpoint( fti, "", &good ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_checkpoint( fti, "/", &good ) );
  options.format = 0;  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_checkpoint( fti, path, &options ) );
  options.format = 7;  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_checkpoint( fti, path, &options ) );
  options = good;
  options.threads    = -1; FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_checkpoint( fti, path, &options ) );
  options = good;
  options.sync = 3;  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_checkpoint( fti, path, &options ) );
  options = good;
  options.format = FDCKPT_FTI_FORMAT_1_4_1;
  options.group_max_file_size   = 1UL<<31; FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_checkpoint( fti, path, &options ) );
  options = good;
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_size( NULL, FDCKPT_FTI_FORMAT_POST_1_6, &size ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_size( fti,  FDCKPT_FTI_FORMAT_POST_1_6, NULL  ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_size( fti,  0,            &size ) );
  FAILS( FDCKPT_ERR_IO, fdckpt_fti_checkpoint( fti, "/nowhere/at/all", &good ) );
  CHECK_EQ( fdckpt_last_error()->errnum, ENOENT );
  CHECK_EQ( fdckpt_last_error()->offset, FDCKPT_NO_OFFSET );
  FAILS( FDCKPT_ERR_IO, fdckpt_fti_checkpoint( fti, "/proc/self/x", &good ) );
  FAILS( FDCKPT_ERR_IO, fdckpt_fti_recover( fti, path, 1 ) );
  CHECK_EQ( fdckpt_last_error()->errnum, ENOENT );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_recover( NULL, path, 1 ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_recover( fti, NULL, 1 ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_recover( fti, path, -1 ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_recover_var( NULL, path, 1 ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_recover_var( fti, NULL, 1 ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_variable_size( path, 1, NULL ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_variable_size( NULL, 1, &size ) );
  FAILS( FDCKPT_ERR_IO, fdckpt_fti_file_variable_size( dir, 1, &size ) );
  CHECK_EQ( size, 77 );
  CHECK_EQ( test_file_cnt( dir ), 0 );

  /* A directory in the place of the file. */
  if( mkdir( other, 0700 ) ) abort();
  FAILS( FDCKPT_ERR_IO, fdckpt_fti_checkpoint( fti, other, &good ) );
  CHECK_EQ( fdckpt_last_error()->errnum, EISDIR );
  CHECK_EQ( test_file_cnt( dir ), 1 );
  rmdir( other );

  /* Level facts. */
  options.group_max_file_size   = 5000UL;
  options.partner_file_size = 4000UL;
  options.timestamp_ns  = 123456789L;
  WORKS( fdckpt_fti_checkpoint( fti, path, &options ) );
  fdckpt_fti_file_t * file = fdckpt_fti_file_open( path );
  fdckpt_fti_file_header_t header = FDCKPT_FTI_FILE_HEADER_INIT;
  WORKS( fdckpt_fti_file_header( file, &header ) );
  CHECK_EQ( header.group_max_file_size, 5008 );
  CHECK_EQ( header.partner_file_size, 4000 );
  CHECK_EQ( header.timestamp_ns, 123456789 );

  fdckpt_fti_file_variable_t  variable = FDCKPT_FTI_FILE_VARIABLE_INIT;
  fdckpt_fti_file_container_t container = FDCKPT_FTI_FILE_CONTAINER_INIT;
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_header( NULL, &header ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_header( file, NULL ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_variable( NULL, 0UL, &variable ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_variable( file, 0UL, NULL ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_container( NULL, 0UL, &container ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_container( file, 0UL, NULL ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_extract( NULL, 1, &x, sizeof(x) ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_extract( file, 1, NULL, sizeof(x) ) );
  FAILS( FDCKPT_ERR_INVALID_STATE,    fdckpt_fti_file_extract( file, 1, NULL, 0UL ) );
  NOT_LOGGED( FDCKPT_ERR_NOT_FOUND, fdckpt_fti_file_extract( file, 2, &x, sizeof(x) ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_verify( NULL, 1, NULL, NULL ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_verify( file, -1, NULL, NULL ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_diff( NULL, file, NULL, NULL, &size ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_diff( file, NULL, NULL, NULL, &size ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_diff( file, file, NULL, NULL, NULL ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_convert( NULL, other, &good ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_convert( file, NULL,  &good ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_convert( file, other, NULL  ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_repair( NULL, 0, &size ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_repair( path, 9, &size ) );
  FAILS( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_repair( path, 0, NULL  ) );
  FAILED( FDCKPT_ERR_INVALID_ARGUMENT, fdckpt_fti_file_open( NULL ) );
  FAILED( FDCKPT_ERR_IO,       fdckpt_fti_file_open( other ) );
  write_file( other, (uchar const *)"no checkpoint", 13UL );
  FAILED( FDCKPT_ERR_FORMAT,   fdckpt_fti_file_open( other ) );
  FAILS( FDCKPT_ERR_FORMAT,    fdckpt_fti_file_repair( other, 0, &size ) );
  write_file( other, NULL, 0UL );
  FAILED( FDCKPT_ERR_FORMAT,   fdckpt_fti_file_open( other ) );
  /* A file may be converted onto itself. */
  options            = good;
  options.format = FDCKPT_FTI_FORMAT_1_1;
  WORKS( fdckpt_fti_file_convert( file, path, &options ) );
  WORKS( fdckpt_fti_file_verify( file, 1, NULL, NULL ) );
  fdckpt_fti_file_free( file );
  fdckpt_fti_file_free( NULL );
  fdckpt_fti_free( fti );
  fdckpt_fti_free( NULL );
  unlink( other );
  unlink( path );
}

TEST_MAIN( "fti" ) {
  snprintf( dir, sizeof(dir), "/tmp/fdckpt-fti-XXXXXX" );
  if( !mkdtemp( dir ) ) { perror( dir ); abort(); }
  snprintf( path,  sizeof(path),  "%s/Ckpt1-Rank0.fti", dir );
  snprintf( other, sizeof(other), "%s/other", dir );
  for( ulong i=0UL; i<sizeof(generations)/sizeof(generations[0]); i++ ) {
    save_and_recover( generations[ i ], 1 );
    save_and_recover( generations[ i ], 3 );
  }
  for( int generation=FDCKPT_FTI_FORMAT_1_3; generation<=FDCKPT_FTI_FORMAT_POST_1_6; generation++ ) {
    update_and_recover( generation, FDCKPT_FTI_UPDATE_JOURNALED,     1 );
    update_and_recover( generation, FDCKPT_FTI_UPDATE_IN_PLACE, 3 );
  }
  prepare_and_settle();
  arguments();
  rmdir( dir );
}
