//! x
#![allow(clippy::unwrap_used, clippy::print_stdout)]
use std::{sync::Arc, time::{Duration, Instant}};
use cloudware_instance_db::*;
use cloudware_types::*;
fn rss() -> u64 { let s=std::fs::read_to_string("/proc/self/status").unwrap(); s.lines().find(|l| l.starts_with("VmRSS:")).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap() }
#[tokio::test(flavor="multi_thread", worker_threads=2)]
async fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let dbs = InstanceDbs::new(Config{dir: dir.path().into(), ..Config::default()}).unwrap();
    let id = InstanceId::generate();
    let ns: Namespace = "stock".parse().unwrap();
    let step = |up:&str| Migration{version:1,name:"a".into(),up:up.into(),down:None};
    let schema="CREATE TABLE stock_items (id INTEGER PRIMARY KEY, sku TEXT UNIQUE, amount INTEGER)";
    dbs.migrate(id,&ns,vec![step(schema)],1,1<<30).await.unwrap();
    let scope=AppScope{namespace:ns.clone(),storage_bytes_max:1<<30,holder:Holder::ANONYMOUS};
    let req=|s:&str|Request{statement:s.into(),parameters:vec![],rows_max:1000,time_max:Duration::from_secs(5)};
    let db=dbs.get(id).unwrap();
    for i in 0..100 { db.execute(&scope,req(&format!("INSERT INTO stock_items(sku,amount) VALUES('s{i}',{i})"))).await.result.unwrap(); }
    for (name,sql,n) in [("select","SELECT sku, amount FROM stock_items WHERE id = 50",20000),("update","UPDATE stock_items SET amount = amount + 1 WHERE id = 50",2000)] {
        let t=Instant::now(); let mut worked=Duration::ZERO;
        for _ in 0..n { if name=="select" { worked+=db.query(&scope,req(sql)).await.worked } else { worked+=db.execute(&scope,req(sql)).await.worked } }
        println!("{name}: {:?}/call, worked {:?}", t.elapsed()/n, worked/n);
    }
    // concurrent selects
    let t=Instant::now();
    let tasks: Vec<_> = (0..32).map(|_| { let db=Arc::clone(&db); let scope=scope.clone(); tokio::spawn(async move { for _ in 0..1000 { db.query(&scope, Request{statement:"SELECT sku, amount FROM stock_items WHERE id = 50".into(),parameters:vec![],rows_max:1000,time_max:Duration::from_secs(5)}).await.result.unwrap(); } }) }).collect();
    for t in tasks { t.await.unwrap(); }
    println!("32 concurrent selects: {:?}/call", t.elapsed()/32000);
    let t=Instant::now();
    for _ in 0..20000 { tokio::task::spawn_blocking(||()).await.unwrap(); }
    println!("spawn_blocking alone: {:?}", t.elapsed()/20000);
    let before=rss(); let t=Instant::now();
    for _ in 0..500 { let id=InstanceId::generate(); dbs.migrate(id,&ns,vec![step(schema)],1,1<<30).await.unwrap(); }
    println!("500 new databases: {:?} each, {} KiB each (writer only)", t.elapsed()/500, (rss()-before)/500);
}
