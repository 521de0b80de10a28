//! Compares the built components with the worlds in `wit/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use wit_parser::{Resolve, UnresolvedPackageGroup, WorldId, WorldItem, WorldKey};

const COMPONENTS: [(&str, &str); 20] = [
    ("audit_remediation", "audit-writer"),
    ("audit_aianalysis", "audit-writer"),
    ("audit_workflow", "audit-writer"),
    ("audit_execution", "audit-writer"),
    ("audit_event", "audit-writer"),
    ("audit_batch", "audit-writer"),
    ("audit_records", "database-client"),
    ("log_proofs", "database-client"),
    ("log_tiles", "database-client"),
    ("holds", "database-client"),
    ("incident", "database-client"),
    ("incident_list", "database-client"),
    ("incident_search", "searcher"),
    ("outcomes", "database-client"),
    ("embedding_backfill", "audit-writer"),
    ("health", "prober"),
    ("metrics", "database-client"),
    ("openapi", "responder"),
    ("docs", "responder"),
    ("fallback", "responder"),
];

fn project() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap().to_owned()
}

/// Returns the interfaces that a world imports, without patch versions, which the standard library
/// and the SDK differ in.
fn imports(resolve: &Resolve, world: WorldId) -> BTreeSet<String> {
    resolve.worlds[world]
        .imports
        .iter()
        .filter(|(_, item)| matches!(item, WorldItem::Interface { .. }))
        .map(|(key, _)| match key {
            WorldKey::Interface(id) => {
                let name = resolve.id_of(*id).unwrap();
                match name.split_once("@0.2.") {
                    Some((wasi, patch)) if !patch.contains('-') => format!("{wasi}@0.2"),
                    _ => name,
                }
            }
            WorldKey::Name(name) => name.clone(),
        })
        .collect()
}

fn worlds() -> (Resolve, wit_parser::PackageId) {
    let mut resolve = Resolve::default();
    resolve
        .push_dir(sdk_wit::folder(env!("CARGO"), &project()).unwrap())
        .unwrap();
    let own = fs::read_to_string(project().join("wit/worlds.wit")).unwrap();
    let group = UnresolvedPackageGroup::parse("worlds.wit", &own).unwrap();
    let package = resolve.push_group(group).unwrap();
    (resolve, package)
}

fn imports_of_component(name: &str) -> BTreeSet<String> {
    let path = e2e::components_folder().join(format!("{name}.wasm"));
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let decoded = wit_component::decode(&bytes).unwrap();
    let wit_component::DecodedWasm::Component(resolve, world) = decoded else {
        panic!("{name} is no component");
    };
    imports(&resolve, world)
}

#[test]
fn no_component_imports_more_than_its_world() {
    let (resolve, package) = worlds();
    for (component, world) in COMPONENTS {
        let world = resolve.packages[package].worlds[world];
        let allowed = imports(&resolve, world);
        let used = imports_of_component(component);
        let more: Vec<_> = used.difference(&allowed).collect();
        assert!(
            more.is_empty(),
            "{component} imports {more:?} beyond its world"
        );
    }
}

#[test]
fn no_world_allows_more_than_a_component_of_it_uses() {
    let (resolve, package) = worlds();
    let held: BTreeSet<_> = COMPONENTS.iter().map(|(_, world)| *world).collect();
    let worlds = resolve.packages[package].worlds.iter();
    for (name, world) in worlds.filter(|(name, _)| held.contains(name.as_str())) {
        let used: BTreeSet<_> = COMPONENTS
            .iter()
            .filter(|(_, of)| of == name)
            .flat_map(|(component, _)| imports_of_component(component))
            .collect();
        let idle: Vec<_> = imports(&resolve, *world)
            .difference(&used)
            .cloned()
            .collect();
        assert!(
            idle.is_empty(),
            "{name} allows {idle:?}, which no component of it imports"
        );
    }
}

#[test]
fn every_component_of_the_application_is_held_to_a_world() {
    let manifest = fs::read_to_string(project().join("spin.toml")).unwrap();
    let built: BTreeSet<_> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("source = \"target/wasm32-wasip2/release/"))
        .filter_map(|file| file.strip_suffix(".wasm\""))
        .collect();
    let held: BTreeSet<_> = COMPONENTS.iter().map(|(component, _)| *component).collect();
    assert_eq!(built, held);
}
