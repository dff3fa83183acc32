#ifndef CORPUS_H
#define CORPUS_H

/* corpus.h: the data that bench.c measures with.

     tar      what tar makes of installed libraries and texts
     records  48-byte records: identifiers, times, prices, counters
     acgt     four letters by chance: few literals, short matches
     noise    incompressible

   All but tar are the same on every machine. */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CORPUS_CNT   (4)
#define CORPUS_ROOTS (16)

static char const * const corpus_name[ CORPUS_CNT ] = { "tar", "records", "acgt", "noise" };

/* corpus_rand is xorshift64; *state must not be 0. */

static inline unsigned long
corpus_rand( unsigned long * state ) {
  unsigned long x = *state;
  x ^= x<<13;
  x ^= x>>7;
  x ^= x<<17;
  return *state = x;
}

static void
corpus_records( unsigned char * mem,
                unsigned long   sz ) {
  struct { unsigned long id, time; double price; unsigned account, quantity; unsigned short kind, flags; unsigned spare; unsigned long total; } r;
  _Static_assert( sizeof(r)==48UL, "no padding" );
  memset( &r, 0, sizeof(r) );
  unsigned long state = 0x5eedUL;
  r.id = 1000000UL; r.time = 1700000000000000000UL; r.price = 100.;
  for( unsigned long at=0UL; at<sz; at+=sizeof(r) ) {
    unsigned long x = corpus_rand( &state );
    r.id      += 1UL + (x & 3UL);
    r.time    += 1000UL*(x>>4 & 0xfffUL);
    r.price   += 0.25*(double)((long)(x>>16 & 7UL)-3L);
    r.account  = (unsigned)(x>>20 & 1023UL)*2654435761U; /* One of 1024 */
    r.quantity = 100U*(unsigned)(1UL + (x>>32 & 15UL));
    r.kind     = (unsigned short)((x>>40 & 7UL) ? 1 : 2);
    r.flags    = (unsigned short)(x>>44 & 1UL);
    r.total   += r.quantity;
    memcpy( mem+at, &r, sz-at<sizeof(r) ? sz-at : sizeof(r) );
  }
}

static void
corpus_letters( unsigned char * mem,
                unsigned long   sz,
                int             all ) { /* All 256, or four */
  unsigned long state = 0xacf7UL;
  for( unsigned long i=0UL; i<sz; i++ ) {
    unsigned long x = corpus_rand( &state )>>24;
    mem[i] = all ? (unsigned char)x : (unsigned char)"ACGT"[ x & 3UL ];
  }
}

/* Files *************************************************************/

struct corpus_root {
  char **       path;
  unsigned long cnt, cap;
  unsigned long sz;    /* Of the files together, each cut to what is taken of it */
  unsigned long next;
  unsigned long taken; /* Bytes */
};

static int
corpus_not_dots( struct dirent const * entry ) {
  return strcmp( entry->d_name, "." ) && strcmp( entry->d_name, ".." );
}

/* corpus_walk adds the files below path, in alphabetical order, till there
   are enough. */

static void
corpus_walk( struct corpus_root * root,
             char const *         path,
             unsigned long        cut,
             unsigned long        enough ) {
  struct stat st;
  if( root->sz>=enough || lstat( path, &st ) ) return;
  if( S_ISDIR( st.st_mode ) ) {
    struct dirent ** entry;
    int              cnt = scandir( path, &entry, corpus_not_dots, alphasort );
    for( int i=0; i<cnt; i++ ) {
      char below[ 4096 ];
      if( snprintf( below, sizeof(below), "%s/%s", path, entry[i]->d_name )<(int)sizeof(below) )
        corpus_walk( root, below, cut, enough );
      free( entry[i] );
    }
    if( cnt>=0 ) free( entry );
    return;
  }
  if( !S_ISREG( st.st_mode ) || !st.st_size || access( path, R_OK ) ) return;
  if( root->cnt==root->cap ) {
    root->cap  = 2UL*root->cap + 64UL;
    root->path = (char **)realloc( root->path, root->cap*sizeof(char *) );
    if( !root->path ) { perror( "realloc" ); exit( 1 ); }
  }
  root->path[ root->cnt++ ] = strdup( path );
  root->sz += (unsigned long)st.st_size<cut ? (unsigned long)st.st_size : cut;
}

/* corpus_tar_file writes header, content (at most cut bytes) and padding, and
   returns how many bytes these are. */

static unsigned long
corpus_tar_file( unsigned char * mem,
                 unsigned long   capacity,
                 char const *    path,
                 unsigned long   cut ) {
  if( capacity<1024UL ) { memset( mem, 0, capacity ); return capacity; }
  unsigned char * content = mem+512;
  unsigned long   max     = capacity-512UL<cut ? capacity-512UL : cut;
  unsigned long   sz      = 0UL;
  int             fd      = open( path, O_RDONLY|O_CLOEXEC );
  if( fd<0 ) return 0UL;
  for( ssize_t n; sz<max && (n = read( fd, content+sz, max-sz ))>0L; ) sz += (unsigned long)n;
  close( fd );
  memset( mem, 0, 512UL );
  snprintf( (char *)mem,     100UL, "%s", path+(strlen( path )>99UL ? strlen( path )-99UL : 0UL) );
  snprintf( (char *)mem+100, 48UL,  "0000644%c0000000%c0000000%c%011lo", 0, 0, 0, sz );
  memcpy( mem+257, "ustar", 6UL );
  unsigned long padded = (sz+511UL)/512UL*512UL;
  if( padded>capacity-512UL ) padded = capacity-512UL;
  memset( content+sz, 0, padded-sz );
  return 512UL+padded;
}

/* corpus_tar fills mem with files below the roots, from each about as many
   bytes as from the others.  No file gives more than a sixteenth; if all
   is taken, it begins anew.  Returns how many bytes are no repetition, 0
   if there are no files. */

static unsigned long
corpus_tar( unsigned char *      mem,
            unsigned long        sz,
            char const * const * path,
            unsigned long        cnt ) {
  struct corpus_root root[ CORPUS_ROOTS ];
  unsigned long      cut    = sz/16UL>65536UL ? sz/16UL : 65536UL;
  unsigned long      unique = 0UL;
  unsigned long      at     = 0UL;
  memset( root, 0, sizeof(root) );
  for( unsigned long i=0UL; i<cnt; i++ ) corpus_walk( &root[i], path[i], cut, sz );
  while( at<sz ) {
    struct corpus_root * least = NULL;
    for( unsigned long i=0UL; i<cnt; i++ )
      if( root[i].next<root[i].cnt && (!least || root[i].taken<least->taken) ) least = &root[i];
    if( !least ) { /* All are taken */
      if( !at ) break;
      if( !unique ) unique = at;
      unsigned long n = sz-at<unique ? sz-at : unique;
      memcpy( mem+at, mem, n );
      at += n;
      continue;
    }
    unsigned long n = corpus_tar_file( mem+at, sz-at, least->path[ least->next++ ], cut );
    least->taken += n;
    at           += n;
  }
  for( unsigned long i=0UL; i<cnt; i++ ) {
    for( unsigned long j=0UL; j<root[i].cnt; j++ ) free( root[i].path[j] );
    free( root[i].path );
  }
  return unique ? unique : at;
}

#endif /* CORPUS_H */
