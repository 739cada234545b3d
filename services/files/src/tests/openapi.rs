//! The document of the routes.

use super::support::World;

#[tokio::test]
async fn every_operation_is_described_with_its_problems() {
    let world = World::new().await;
    let (_, document) = crate::http::routes(world.app.clone(), &world.issuer.identity());
    let document = serde_json::to_value(document).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push(format!("{method} {path}"));
            if method != "head" {
                let problem =
                    &operation["responses"]["default"]["content"]["application/problem+json"];
                assert_eq!(
                    problem["schema"]["$ref"], "#/components/schemas/Problem",
                    "{method} {path}"
                );
            }
            assert!(
                operation["summary"].is_string() || operation["description"].is_string(),
                "{method} {path}"
            );
        }
    }
    operations.sort();
    assert_eq!(
        operations,
        [
            "delete /api/files/{id}",
            "get /api/courses/{id}/files",
            "get /api/files/links/{token}",
            "get /api/files/{id}",
            "get /api/files/{id}/accesses",
            "get /api/files/{id}/content",
            "get /api/files/{id}/link",
            "head /api/files/links/{token}",
            "patch /api/files/{id}",
            "post /api/courses/{id}/files",
            "post /api/files/{id}/versions",
        ]
    );
    let patch = &document["components"]["schemas"]["PatchFile"];
    assert_eq!(patch["additionalProperties"], false, "{patch}");
    let form = &document["paths"]["/api/courses/{id}/files"]["post"]["requestBody"]["content"]["multipart/form-data"];
    assert!(form["schema"].is_object(), "{form}");
}
