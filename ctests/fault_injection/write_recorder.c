/* write_recorder.c: stands between the library and the system (by
   LD_PRELOAD), and notes each call that changes a file or a directory, in the file that
   FDCKPT_TEST_RECORD names: a line, and for pwrite its bytes. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL( name ) ({                                                        \
    static __typeof__(name) * real;                                            \
    if( !real ) {                                                              \
      void * found = dlsym( RTLD_NEXT, #name );                                \
      memcpy( &real, &found, sizeof(real) ); /* C has no cast for this */      \
    }                                                                          \
    real;                                                                      \
  })

static void
all( int          fd,
     void const * bytes,
     size_t       sz ) {
  for( char const * p = (char const *)bytes; sz; ) {
    ssize_t n = write( fd, p, sz );
    if( n<=0L ) abort();
    p += n; sz -= (size_t)n;
  }
}

__attribute__((format(printf,3,4))) static void
note( void const * bytes,
      size_t       sz,
      char const * format,
      ... ) {
  static int fd = -1;
  char const * path = getenv( "FDCKPT_TEST_RECORD" );
  if( !path ) return;
  if( fd<0 ) fd = (int)syscall( SYS_openat, AT_FDCWD, path, O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0600 );
  char line[ 512 ];
  va_list args;
  va_start( args, format );
  int len = vsnprintf( line, sizeof(line), format, args );
  va_end( args );
  all( fd, line, (size_t)len );
  all( fd, bytes, sz );
}

int
openat( int          dir,
        char const * name,
        int          flags,
        ... ) {
  va_list args;
  va_start( args, flags );
  mode_t mode = flags & O_CREAT ? va_arg( args, mode_t ) : 0;
  va_end( args );
  int fd = REAL( openat )( dir, name, flags, mode );
  if( flags & O_CREAT ) { if( fd>=0 ) note( "", 0UL, "create %d %s\n", fd, name ); }
  else if( fd>=0 && !(flags & (O_DIRECTORY|O_PATH)) ) note( "", 0UL, "open %d %s\n", fd, name );
  return fd;
}

ssize_t
pwrite( int          fd,
        void const * bytes,
        size_t       sz,
        off_t        off ) {
  ssize_t n = REAL( pwrite )( fd, bytes, sz, off );
  if( n>0L ) note( bytes, (size_t)n, "pwrite %d %ld %ld\n", fd, (long)off, (long)n );
  return n;
}

int
ftruncate( int   fd,
           off_t sz ) {
  int err = REAL( ftruncate )( fd, sz );
  if( !err ) note( "", 0UL, "ftruncate %d %ld\n", fd, (long)sz );
  return err;
}

int
fsync( int fd ) {
  int err = REAL( fsync )( fd );
  if( !err ) note( "", 0UL, "fsync %d\n", fd );
  return err;
}

int
close( int fd ) {
  note( "", 0UL, "close %d\n", fd );
  return REAL( close )( fd );
}

int
renameat( int          from_directory,
          char const * from,
          int          to_directory,
          char const * to ) {
  int err = REAL( renameat )( from_directory, from, to_directory, to );
  if( !err ) note( "", 0UL, "rename %s %s\n", from, to );
  return err;
}
