//! What an acceptance of damage says and does where the damage is chosen: what is listed, which Seals are written.

use std::sync::Arc;

use super::accept::{Broken, Stored, accept, written};
use super::choosers::Seeded;
use super::world::{Recovered, World, read_all, record};
use crate::log::accept::{Loss, Run};
use crate::log::{Log, Opened};

const BLOCK: usize = 4096;

fn flip(world: &World, name: &str, block: usize) {
    world.fs.flip(name, (block * BLOCK + 70) * 8);
}

fn loss(world: &mut World) -> Loss {
    accept(world, Broken::Not).unwrap().expect("a loss")
}

#[test]
fn what_a_recovery_carried_and_damage_took_is_listed_from_where_it_was_cut() {
    let mut world = World::new(BLOCK, 6 * BLOCK as u32);
    let mut log = world.create().unwrap();
    world.append(&mut log, &[vec![record(1, 100)], vec![record(2, 100)]]).unwrap();
    world.crash(&mut Seeded(1), None);
    let Ok(Recovered::Log(_)) = world.recover() else { panic!("a killed log opens") };
    flip(&world, "0000000002.log", 2);
    let loss = loss(&mut world);
    assert_eq!((loss.kept_to, loss.readable), (0, vec![Run { first: 1, last: 2, transactions: 2 }]));
}

#[test]
fn a_transaction_of_which_a_piece_is_lost_is_not_listed() {
    let mut world = World::new(BLOCK, 16 * BLOCK as u32);
    world.commit_bytes = BLOCK;
    let mut log = world.create().unwrap();
    world.append(&mut log, &[(0..3).map(|number| record(number, 3000)).collect()]).unwrap();
    world.append(&mut log, &[vec![record(4, 100)]]).unwrap();
    world.tick(&mut log).unwrap();
    // The transaction takes three commits, the first in block 2.
    flip(&world, "0000000001.log", 2);
    assert_eq!(loss(&mut world).readable, [Run { first: 4, last: 4, transactions: 1 }]);
}

/// The last segment but one may lack its Seal, but not once another segment comes.
#[test]
fn the_seal_that_the_last_segment_but_one_lacks_is_written() {
    let mut world = written(&mut Seeded(5), Stored::Nothing).unwrap();
    let names = world.fs.names();
    let [.., before, last] = &names[..] else { panic!("two segments") };
    let mut bytes = world.fs.bytes(before);
    bytes[BLOCK..2 * BLOCK].fill(0);
    world.fs.replace(before, bytes);
    // Where the last segment's Seal would be is something.
    flip(&world, last, 1);
    let end = world.history.last().unwrap().last();
    assert_eq!(loss(&mut world).kept_to, end);
    let Ok(Recovered::Log(log)) = world.recover() else { panic!("what was accepted opens") };
    assert_eq!(log.epoch(), 2);
}

#[test]
fn a_missing_directory_of_segments_is_accepted_as_the_loss_of_all() {
    let mut world = written(&mut Seeded(5), Stored::Some).unwrap();
    for name in world.fs.names() {
        world.fs.lose(&name);
    }
    let applied = world.applied;
    let loss = accept(&mut world, Broken::Not).unwrap().unwrap();
    assert_eq!((loss.kept_to, loss.readable, loss.files), (applied, Vec::new(), Vec::new()));
    world.history.retain(|known| known.last() <= applied);
    let options = world.options();
    let Opened::ReadWrite(log, report) = Log::open(Arc::new(world.fs.clone()), options).unwrap() else {
        panic!()
    };
    assert_eq!((report.epoch, read_all(&log.view()).unwrap()), (2, Vec::new()));
}
