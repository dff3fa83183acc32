/* fti.c: replaces, recovers, repairs and updates checkpoint files of FTI
   while the shim makes calls fail, and checks what comes of it: the old
   file or the new one, nothing else in the directory, nothing leaked.

     LD_PRELOAD=shim.so fti FOLDER [GROUP [N]]

   Groups, runs and what is printed are as in scenarios.c. */

#include "run.h"

static fault_t const fault_write[] = {
  { "EIO once",          EIO,           1L       },
  { "EIO for ever",      EIO,           FOR_EVER },
  { "ENOSPC for ever",   ENOSPC,        FOR_EVER },
  { "EINTR in a row",    EINTR,         50L      },
  { "EAGAIN in a row",   EAGAIN,        50L      },
  { "one byte once",     FAULT_ONE,     1L       },
  { "half for ever",     FAULT_HALF,    FOR_EVER },
  { "nothing once",      FAULT_NOTHING, 1L       },
  { NULL, 0, 0L }
};

/* EINTR is for calls that are made again after it. */
static fault_t const fault_again[] = {
  { "EINTR once",   EINTR,  1L       },
  { "EIO once",     EIO,    1L       },
  { "ENOSPC once",  ENOSPC, 1L       },
  { "EIO for ever", EIO,    FOR_EVER },
  { NULL, 0, 0L }
};

static fault_t const fault_other[] = {
  { "EIO once",     EIO,    1L       },
  { "ENOSPC once",  ENOSPC, 1L       },
  { "EIO for ever", EIO,    FOR_EVER },
  { NULL, 0, 0L }
};

/* EINVAL of the directory's sync is passed over: some file systems have none. */
static fault_t const fault_sync[] = {
  { "EIO once",     EIO,    1L       },
  { "EINTR once",   EINTR,  1L       },
  { "EINVAL once",  EINVAL, 1L       },
  { "EIO for ever", EIO,    FOR_EVER },
  { NULL, 0, 0L }
};

static fault_t const fault_read[] = {
  { "EIO once",      EIO,       1L  },
  { "EINTR in a row", EINTR,    50L },
  { "one byte once", FAULT_ONE, 1L  },
  { NULL, 0, 0L }
};

static kind_t const kinds[] = {
  { "pwrite",         KIND_PWRITE, fault_write  },
  { "pread",          KIND_READ,   fault_read   },
  { "poll",           KIND_POLL,   fault_other  },
  { "open",           KIND_OPEN,   fault_again  },
  { "ftruncate",      KIND_CUT,    fault_again  },
  { "fsync",          KIND_SYNC,   fault_sync   },
  { "rename",         KIND_RENAME, fault_other  },
  { "close",          KIND_CLOSE,  fault_again  },
  { "stat",           KIND_STAT,   fault_other  },
  { "mmap",           KIND_MMAP,   fault_other  },
  { "munmap",         KIND_MUNMAP, fault_other  },
  { "malloc",         KIND_ALLOC,  fault_alloc  },
  { "pthread_create", KIND_THREAD, fault_thread },
};

/* What is done: a save in each generation, by one thread or two, or: */
#define RECOVER (100)
#define REPAIR  (101)
#define UPDATE  (200) /* An update in the safe mode, by the journal */
#define PLACE   (201) /* In place */
#define PREPARE (202)
#define COMMIT  (203) /* What was prepared before */
#define REPLAY  (204) /* A file that is recovered after an update was interrupted */

static struct { char const * name; int what; int threads; } const scenarios[] = {
  { "save A",                FDCKPT_FTI_FORMAT_1_1, 1 },
  { "save B",                FDCKPT_FTI_FORMAT_1_2, 1 },
  { "save E",                FDCKPT_FTI_FORMAT_POST_1_6, 1 },
  { "save A by two threads", FDCKPT_FTI_FORMAT_1_1, 2 },
  { "save E by two threads", FDCKPT_FTI_FORMAT_POST_1_6, 2 },
  { "recover",               RECOVER,      1 },
  { "recover by threads",    RECOVER,      3 },
  { "repair",                REPAIR,       1 },
  { "update",                UPDATE,       1 },
  { "update by two threads", UPDATE,       2 },
  { "update in place",       PLACE,        1 },
  { "prepare",               PREPARE,      1 },
  { "commit",                COMMIT,       1 },
  { "recover an update",     REPLAY,       1 },
};

static char    path[ 4096 ];
static char    journal[ 4200 ];
static char    hashes [ 4200 ];
static char const * folder;

#define BIG (600000UL) /* Several pieces */

static uchar * big;
static uchar   small[ 100 ];

static void
put_at( char const *  path,
        uchar const * bytes,
        ulong         sz ) {
  unlink( path );
  int fd = open( path, O_WRONLY|O_CREAT|O_EXCL, 0600 );
  if( fd<0 ) { perror( path ); abort(); }
  test_write_all( fd, bytes, sz );
  close( fd );
}

static void
put( uchar const * bytes,
     ulong         sz ) {
  put_at( path, bytes, sz );
}

static fdckpt_fti_t *
protect( void ) {
  fdckpt_fti_t * fti = fdckpt_fti_new();
  CHECK( !fdckpt_fti_protect( fti, 1, small, sizeof(small) ) );
  CHECK( !fdckpt_fti_protect( fti, 2, big,   BIG           ) );
  return fti;
}

/* An update of a file that this object has written before: two blocks in
   one place and a third in another one, so that there are several writes. */

static fdckpt_fti_t *
update_begin( int threads,
              int what ) {
  fdckpt_fti_options_t options = { .struct_size = sizeof(fdckpt_fti_options_t), .format = FDCKPT_FTI_FORMAT_POST_1_6, .ckpt_id = 1, .threads = threads, .timestamp_ns = 12345L,
                                   .sync = FDCKPT_SYNC_NONE };
  fdckpt_fti_update_options_t  update  = { .struct_size = sizeof(fdckpt_fti_update_options_t), .block_size = 1000, .mode = what==PLACE ? FDCKPT_FTI_UPDATE_IN_PLACE : FDCKPT_FTI_UPDATE_JOURNALED };
  fdckpt_fti_t *       fti     = protect();
  unlink( journal );
  unlink( hashes );
  CHECK( !fdckpt_fti_protect( fti, 1, small, sizeof(small)-10UL ) );
  CHECK( !fdckpt_fti_update( fti, path, &options, &update, NULL ) );
  return fti;
}

static void
update_change( int by ) {
  small[ 7 ]                = (uchar)(small[ 7 ]+by);
  big  [ 1500 ]             = (uchar)(big[ 1500 ]+by);
  big  [ 2500 ]             = (uchar)(big[ 2500 ]+by);
  big  [ BIG-1UL ]          = (uchar)(big[ BIG-1UL ]+by);
}

static int
update_call( fdckpt_fti_t * fti,
             int            threads,
             int            what ) {
  fdckpt_fti_options_t options = { .struct_size = sizeof(fdckpt_fti_options_t), .format = FDCKPT_FTI_FORMAT_POST_1_6, .ckpt_id = 2, .threads = threads, .timestamp_ns = 12346L };
  fdckpt_fti_update_options_t  update  = {
    .struct_size = sizeof(fdckpt_fti_update_options_t), .block_size = 1000, .mode = what==PLACE ? FDCKPT_FTI_UPDATE_IN_PLACE : FDCKPT_FTI_UPDATE_JOURNALED, .save_hashes = what==PLACE };
  CHECK( !fdckpt_fti_protect( fti, 1, small, sizeof(small) ) ); /* It grows */
  return what==PREPARE || what==COMMIT ? fdckpt_fti_prepare( fti, path, &options, &update, NULL )
                                       : fdckpt_fti_update ( fti, path, &options, &update, NULL );
}

static void
update_run( int             s,
            kind_t const *  kind,
            fault_t const * fault,
            long            n ) {
  int what    = scenarios[ s ].what;
  int threads = scenarios[ s ].threads;
  static uchar * old;    static ulong old_sz;
  static uchar * wanted; static ulong wanted_sz;
  static uchar * torn;   static ulong torn_sz;
  static uchar * redo;   static ulong redo_sz;
  static int     prepared = -1;
  if( prepared!=s ) {
    prepared = s;
    free( old ); free( wanted ); free( torn ); free( redo );
    unlink( path );
    fdckpt_fti_t * fti = update_begin( 1, UPDATE );
    old = file_bytes( path, &old_sz );
    update_change( 1 );
    CHECK( !update_call( fti, 1, UPDATE ) );
    wanted = file_bytes( path, &wanted_sz );
    update_change( -1 );
    fdckpt_fti_free( fti );
    /* Interrupted at the first write for which the journal is whole. */
    for( long i=1L;; i++ ) {
      put( old, old_sz );
      fti = update_begin( 1, UPDATE );
      update_change( 1 );
      faults_plan( KIND_PWRITE, i, EIO, FOR_EVER, ANY_FD, 0UL, 0 );
      CHECK( LIB( update_call( fti, 1, UPDATE ) ) );
      update_change( -1 );
      fdckpt_fti_free( fti );
      int pending = 0, ckpt_id = 0;
      CHECK( !fdckpt_fti_transaction_state( path, &pending, &ckpt_id ) );
      if( pending==FDCKPT_FTI_TRANSACTION_NEEDS_RECOVERY && !file_is( path, old, old_sz ) ) break;
    }
    torn = file_bytes( path, &torn_sz );
    redo = file_bytes( journal, &redo_sz );
  }

  put( old, old_sz );
  fdckpt_fti_t * fti;
  if( what==REPLAY ) {
    fti = protect();
    put( torn, torn_sz );
    put_at( journal, redo, redo_sz );
  } else {
    fti = update_begin( threads, what );
    update_change( 1 );
    if( what==COMMIT ) CHECK( !update_call( fti, threads, what ) );
  }
  int fds = fd_cnt();
  faults_plan( kind->kind, n, fault->fault, fault->span, ANY_FD, 0UL, kind->kind==KIND_POLL );
  test_logged = 0UL;
  int code = what==REPLAY ? LIB( fdckpt_fti_recover( fti, path, threads ) )
           : what==COMMIT ? LIB( fdckpt_fti_resolve( path, FDCKPT_FTI_COMMIT ) )
                          : LIB( update_call( fti, threads, what ) );
  long injected = faults_injected();

  int f      = fault->fault;
  int again  = ((kind->kind==KIND_PWRITE || kind->kind==KIND_READ) && (f==EINTR || f==EAGAIN || f==FAULT_ONE || f==FAULT_HALF))
            || ((kind->kind==KIND_OPEN || kind->kind==KIND_CUT) && f==EINTR)
            || kind->kind==KIND_CLOSE || kind->kind==KIND_MUNMAP || kind->kind==KIND_THREAD;
  /* Emptying the journal when all is done; the directory's sync, where there is none; what is kept beside the file. */
  int may_be = kind->kind==KIND_CUT || (kind->kind==KIND_SYNC && f==EINVAL) || (kind->kind==KIND_ALLOC && threads>1)
            || (what==PLACE && (kind->kind==KIND_OPEN || kind->kind==KIND_ALLOC || kind->kind==KIND_STAT
                             || kind->kind==KIND_PWRITE || kind->kind==KIND_POLL));
  if( !injected || again ) CHECK_EQ( code, 0 );
  else if( !may_be )       CHECK( code );
  if( code ) {
    CHECK_EQ( code, kind->kind==KIND_ALLOC ? FDCKPT_ERR_NO_MEMORY : FDCKPT_ERR_IO );
    CHECK_EQ( fdckpt_last_error()->errnum, f==FAULT_NOTHING ? EIO : f );
    CHECK_EQ( test_logged, 1 );
  } else {
    CHECK_EQ( test_logged, 0 );
    CHECK( what==PREPARE ? file_is( path, old, old_sz ) : file_is( path, wanted, wanted_sz ) );
  }
  CHECK_EQ( fd_cnt(), fds );

  /* Then it is the old state or the new one, and what can be decided on is. */
  int pending = 77, ckpt_id = 77;
  CHECK_EQ( fdckpt_fti_transaction_state( path, &pending, &ckpt_id ), 0 );
  if( what==PREPARE ) {
    CHECK_EQ( pending, code ? FDCKPT_FTI_TRANSACTION_IDLE : FDCKPT_FTI_TRANSACTION_PREPARED );
    CHECK( file_is( path, old, old_sz ) );
    CHECK( !fdckpt_fti_resolve( path, FDCKPT_FTI_ROLLBACK ) );
    CHECK( file_is( path, old, old_sz ) );
  } else if( what==COMMIT ) {
    CHECK( !fdckpt_fti_resolve( path, FDCKPT_FTI_COMMIT ) );
    CHECK( file_is( path, wanted, wanted_sz ) );
  } else if( what==REPLAY || what==UPDATE ) {
    fdckpt_fti_file_t * file = fdckpt_fti_file_open( path );
    CHECK( file!=NULL );
    fdckpt_fti_file_free( file );
    CHECK( file_is( path, wanted, wanted_sz ) || (what==UPDATE && code && file_is( path, old, old_sz )) );
  }
  CHECK_EQ( fdckpt_fti_transaction_state( path, &pending, &ckpt_id ), 0 );
  CHECK_EQ( pending, FDCKPT_FTI_TRANSACTION_IDLE );
  /* And the next one makes all good. */
  if( what==UPDATE || what==PLACE ) {
    /* What was written in part, is not taken for what was there before. */
    if( what==PLACE ) update_change( -1 );
    CHECK( !update_call( fti, threads, what ) );
    fdckpt_fti_file_t * file = fdckpt_fti_file_open( path );
    CHECK( !fdckpt_fti_file_verify( file, 1, NULL, NULL ) );
    fdckpt_fti_file_free( file );
    CHECK( !fdckpt_fti_recover( fti, path, 1 ) );
  }
  if( what==REPLAY ) CHECK( !fdckpt_fti_recover( fti, path, threads ) );
  CHECK( test_file_cnt( folder )<=3 ); /* With the journal and the hashes */
  if( what==PLACE ) {} /* Done already */
  else if( what!=REPLAY ) update_change( -1 );
  else { test_fill( big, BIG, 1UL ); test_fill( small, sizeof(small), 2UL ); }
  fdckpt_fti_free( fti );
}

static long
one_run( int             group,
         int             s,
         kind_t const *  kind,
         fault_t const * fault,
         long            n ) {
  ulong fails   = atomic_load( &test_fails );
  int   what    = scenarios[ s ].what;
  int   threads = scenarios[ s ].threads;
  begin_run( group, n, scenarios[ s ].name, kind, fault, 10U );
  if( what>=UPDATE ) {
    update_run( s, kind, fault, n );
    long injected = faults_injected();
    alarm( 0U );
    if( threads==1 ) CHECK_EQ( faults_live(), 0 );
    return end_run( injected, fails );
  }

  /* An old file, and what the new one is to be. */
  static uchar * old;      static ulong old_sz;
  static uchar * wanted;   static ulong wanted_sz;
  static int     prepared = -1;
  fdckpt_fti_options_t options = {
    .struct_size = sizeof(fdckpt_fti_options_t), .format = what>=RECOVER ? FDCKPT_FTI_FORMAT_POST_1_6 : what, .ckpt_id = 1, .threads = threads, .timestamp_ns = 12345L };
  if( prepared!=s ) {
    prepared = s;
    free( old ); free( wanted );
    fdckpt_fti_t * fti = protect();
    CHECK( !fdckpt_fti_checkpoint( fti, path, &options ) );
    wanted = file_bytes( path, &wanted_sz );
    small[ 7 ]++;
    CHECK( !fdckpt_fti_checkpoint( fti, path, &options ) );
    small[ 7 ]--;
    old = file_bytes( path, &old_sz );
    if( what==REPAIR ) {
      free( old );
      old    = (uchar *)test_alloc( wanted_sz );
      old_sz = wanted_sz;
      memcpy( old, wanted, wanted_sz );
      old[ wanted_sz-106UL ] ^= 1U;
    }
    if( what==RECOVER ) put( wanted, wanted_sz );
    fdckpt_fti_free( fti );
  }
  if( what!=RECOVER ) put( old, old_sz );

  fdckpt_fti_t * fti = protect();
  int fds = fd_cnt();
  faults_plan( kind->kind, n, fault->fault, fault->span, ANY_FD, 0UL, kind->kind==KIND_POLL );
  test_logged = 0UL;
  uint64_t cnt  = 77UL;
  int      code = what==RECOVER ? LIB( fdckpt_fti_recover( fti, path, threads ) )
                : what==REPAIR  ? LIB( fdckpt_fti_file_repair( path, FDCKPT_SYNC_FULL, &cnt ) )
                                : LIB( fdckpt_fti_checkpoint( fti, path, &options ) );
  long injected = faults_injected();
  alarm( 0U );

  /* What is passed over: short writes and interruptions; threads that can't be had; what is closed or unmapped when all is done. */
  int f      = fault->fault;
  int again  = (kind->kind==KIND_PWRITE && (f==EINTR || f==EAGAIN || f==FAULT_ONE || f==FAULT_HALF))
            || ((kind->kind==KIND_OPEN || kind->kind==KIND_CUT || kind->kind==KIND_CLOSE) && f==EINTR)
            || (kind->kind==KIND_SYNC && f==EINVAL && n==2L)
            || kind->kind==KIND_MUNMAP || kind->kind==KIND_THREAD;
  /* Other files than the one that is written are closed too; without memory there are fewer threads. */
  int may_be = kind->kind==KIND_CLOSE || (kind->kind==KIND_ALLOC && threads>1);
  /* Who looks for temporary files of dead processes, leaves it at that where it fails. */
  may_be = may_be || ( what!=RECOVER && ( (kind->kind==KIND_OPEN && fault->span==1L) || kind->kind==KIND_STAT
                                       || kind->kind==KIND_ALLOC ) );
  if( !injected || again ) CHECK_EQ( code, 0 );
  else if( !may_be )       CHECK( code );
  if( code ) {
    fdckpt_error_t const * error = fdckpt_last_error();
    CHECK_EQ( code, kind->kind==KIND_ALLOC ? FDCKPT_ERR_NO_MEMORY : FDCKPT_ERR_IO );
    CHECK_EQ( error->errnum, f==FAULT_NOTHING ? EIO : f );
    CHECK_EQ( test_logged, 1 );
  } else {
    CHECK_EQ( test_logged, 0 );
  }
  CHECK_EQ( fd_cnt(), fds );
  CHECK_EQ( test_file_cnt( folder ), 1 );
  if( what!=RECOVER ) {
    /* The second sync is the directory's: the file has its name then. */
    int in_place = !code || (kind->kind==KIND_SYNC && n==2L);
    CHECK( in_place ? file_is( path, wanted, wanted_sz ) : file_is( path, old, old_sz ) );
  }
  if( what==REPAIR && !code ) CHECK( cnt && cnt!=77UL );
  fdckpt_fti_free( fti );
  if( threads==1 ) CHECK_EQ( faults_live(), 0 ); /* The system keeps memory for threads */
  return end_run( injected, fails );
}

int
main( int     argc,
      char ** argv ) {
  if( argc<2 ) return 2;
  find_shim();
  folder = argv[1];
  snprintf( path,    sizeof(path),    "%s/Ckpt1-Rank0.fti", folder );
  snprintf( journal, sizeof(journal), "%s.journal", path );
  snprintf( hashes,  sizeof(hashes),  "%s.hashes",  path );
  big = (uchar *)test_alloc( BIG );
  test_fill( big, BIG, 1UL );
  test_fill( small, sizeof(small), 2UL );

  return run_groups( argv+2, COUNT( scenarios ), kinds, COUNT( kinds ), one_run );
}
