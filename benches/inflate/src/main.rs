fn corpus() -> Vec<u8> {
    let mut all = Vec::new();
    let limit: usize = std::env::var("BENCH_MB").ok().and_then(|v| v.parse().ok()).unwrap_or(100) << 20;
    let roots: Vec<String> = std::env::args().skip(1).collect();
    for root in &roots {
        let mut part = Vec::new();
        let mut todo = vec![std::path::PathBuf::from(root)];
        while let Some(path) = todo.pop() {
            if part.len() >= limit / roots.len() { break; }
            if path.is_dir() {
                let mut e: Vec<_> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
                e.sort();
                todo.extend(e);
            } else if let Ok(b) = std::fs::read(&path) { part.extend(b); }
        }
        part.truncate(limit / roots.len());
        all.extend(part);
    }
    all
}
fn deflate64(data: &[u8]) -> Vec<u8> {
    let dir = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("d"), data).unwrap();
    let ok = std::process::Command::new("7z").current_dir(&dir).args(["a", "-tzip", "-mm=Deflate64", "-mx=5", "x.zip", "d"]).output().unwrap();
    assert!(ok.status.success());
    let z = std::fs::read(dir.join("x.zip")).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    let n = u16::from_le_bytes([z[26], z[27]]) as usize + u16::from_le_bytes([z[28], z[29]]) as usize;
    let eocd = z.windows(4).rposition(|w| w == b"PK\x05\x06").unwrap();
    let cd = u32::from_le_bytes(z[eocd + 16..eocd + 20].try_into().unwrap()) as usize;
    let size = u32::from_le_bytes(z[cd + 20..cd + 24].try_into().unwrap()) as usize;
    z[30 + n..30 + n + size].to_vec()
}
fn ours(d64: bool, s: &[u8], out: &mut [u8], step: usize) {
    let mut e = fdckpt::inflate::Raw::new(d64);
    let (mut i, mut o) = (0, 0);
    loop {
        let end = (o + step).min(out.len());
        let p = e.inflate(&s[i..], &mut out[o..end]);
        i += p.consumed; o += p.produced;
        match p.result { Ok(fdckpt::inflate::Status::Done) => break, Ok(_) => {} Err(e) => panic!("{e}") }
    }
    assert_eq!(o, out.len());
}
fn main() {
    let data = corpus();
    println!("{} bytes", data.len());
    let d = miniz_oxide::deflate::compress_to_vec(&data, 6);
    let d64 = deflate64(&data);
    println!("deflate {} deflate64 {}", d.len(), d64.len());
    let n = data.len();
    let mut out = vec![0u8; n];
    ours(false, &d, &mut out, n); assert!(out == data);
    out.fill(0); ours(true, &d64, &mut out, n); assert!(out == data);
    out.fill(0); ours(false, &d, &mut out, 65536); assert!(out == data);
    out.fill(0); ours(true, &d64, &mut out, 1000); assert!(out == data);
    let mut o2 = vec![0u8; n];
    let mut o3 = vec![0u8; n];
    let d64s = &d64; let ds = &d;
    let crate64 = |out: &mut [u8]| {
        let mut e = Box::new(deflate64::InflaterManaged::new());
        let (mut i, mut o) = (0, 0);
        while !e.finished() { let end = (o + 65536).min(n); let r = e.inflate(&d64s[i..], &mut out[o..end]); i += r.bytes_consumed; o += r.bytes_written; }
    };
    let o = std::cell::RefCell::new(&mut out[..]);
    _ = (&mut o2, &mut o3);
    let mut cases: Vec<(&str, Box<dyn FnMut() + '_>)> = vec![];
    cases.push(("crate d64", Box::new(|| crate64(&mut o.borrow_mut()))));
    cases.push(("ours d64 64K", Box::new(|| ours(true, d64s, &mut o.borrow_mut(), 65536))));
    cases.push(("ours d64 whole", Box::new(|| ours(true, d64s, &mut o.borrow_mut(), n))));
    cases.push(("ours deflate 64K", Box::new(|| ours(false, ds, &mut o.borrow_mut(), 65536))));
    cases.push(("ours deflate whole", Box::new(|| ours(false, ds, &mut o.borrow_mut(), n))));
    if std::env::var_os("BENCH_OURS").is_none() {
    cases.push(("miniz whole", Box::new(|| { miniz_oxide::inflate::decompress_slice_iter_to_slice(&mut o.borrow_mut(), std::iter::once(&ds[..]), false, false).unwrap(); })));
    cases.push(("zlib-rs 64K", Box::new(|| zlibrs(ds, &mut o.borrow_mut(), 65536))));
    cases.push(("zlib-rs whole", Box::new(|| zlibrs(ds, &mut o.borrow_mut(), n))));
    cases.push(("zlib C 64K", Box::new(|| zlibc(ds, &mut o.borrow_mut(), 65536))));
    cases.push(("zlib C whole", Box::new(|| zlibc(ds, &mut o.borrow_mut(), n))));
    }
    let mut times = vec![f64::MAX; cases.len()];
    for _ in 0..std::env::var("ROUNDS").ok().and_then(|v| v.parse().ok()).unwrap_or(5) {
        for (t, (_, f)) in times.iter_mut().zip(&mut cases) { let s = cpu(); f(); *t = t.min(cpu() - s); }
    }
    for (t, (name, _)) in times.iter().zip(&cases) { println!("{name:20} {:8.1} MB/s {:6.2}", n as f64 / 1e6 / t, times[0] / t); }
}
fn cpu() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}
fn zlibrs(s: &[u8], out: &mut [u8], step: usize) {
    let mut e = zlib_rs::Inflate::new(false, 15);
    let n = out.len();
    loop {
        let o = e.total_out() as usize; let i = e.total_in() as usize;
        let r = e.decompress(&s[i..], &mut out[o..(o + step).min(n)], zlib_rs::InflateFlush::NoFlush).unwrap();
        if r == zlib_rs::Status::StreamEnd { break; }
    }
}
fn zlibc(s: &[u8], out: &mut [u8], step: usize) {
    unsafe {
        let mut z: libz_sys::z_stream = std::mem::MaybeUninit::zeroed().assume_init();
        // the allocators are zlib's own
        assert_eq!(libz_sys::inflateInit2_(&mut z, -15, libz_sys::zlibVersion(), size_of::<libz_sys::z_stream>() as i32), 0);
        z.next_in = s.as_ptr() as *mut u8; z.avail_in = s.len() as u32;
        loop {
            let o = z.total_out as usize;
            z.next_out = out[o..].as_mut_ptr(); z.avail_out = step.min(out.len() - o) as u32;
            let r = libz_sys::inflate(&mut z, 0);
            if r == 1 { break; }
            assert!(r == 0, "{r}");
        }
        libz_sys::inflateEnd(&mut z);
    }
}
