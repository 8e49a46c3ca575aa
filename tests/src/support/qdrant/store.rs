//! The points of the fake Qdrant, and its oracle: scores by the formulas and nothing else.

use std::collections::{BTreeMap, HashMap};

use qdrant_client::qdrant::{
    AliasDescription, BatchResult, ChangeAliases, CollectionConfig,
    CollectionDescription, CollectionInfo, CollectionOperationResponse, CollectionParams,
    CountPoints, CountResponse, CountResult, CreateCollection,
    CreateFieldIndexCollection, DeleteCollection, DenseVector, Filter,
    GetCollectionInfoRequest, GetCollectionInfoResponse, GetPoints, GetResponse,
    HealthCheckReply, HealthCheckRequest, ListAliasesRequest, ListAliasesResponse,
    ListCollectionsRequest, ListCollectionsResponse, Modifier, NamedVectorsOutput,
    PointId, PointStruct, PointsOperationResponse, QueryBatchPoints, QueryBatchResponse,
    QueryPoints, QueryResponse, RetrievedPoint, ScoredPoint, ScrollPoints,
    ScrollResponse, SparseVector, UpsertPoints, Value, VectorOutput, VectorsOutput,
    alias_operations::Action, condition::ConditionOneOf, r#match::MatchValue,
    point_id::PointIdOptions, query, value::Kind, vector, vector_input, vector_output,
    vectors::VectorsOptions, vectors_config::Config, vectors_output,
};
use tonic::Status;

type Answer<T> = Result<T, Status>;

/// Collections and aliases.
#[derive(Default)]
pub struct Store {
    pub collections: BTreeMap<String, Collection>,
    pub aliases: BTreeMap<String, String>,
    /// Every batch request that was answered.
    pub batches: Vec<QueryBatchPoints>,
}

/// One collection.
#[derive(Default)]
pub struct Collection {
    pub made: CreateCollection,
    pub indexes: Vec<String>,
    pub points: BTreeMap<String, Point>,
}

/// One point; the unnamed vector has the empty name, as in Qdrant.
pub struct Point {
    id: PointId,
    payload: HashMap<String, Value>,
    dense: BTreeMap<String, Vec<f32>>,
    sparse: BTreeMap<String, Vec<(u32, f32)>>,
}

#[expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "every method of the protocol has one shape"
)]
impl Store {
    /// The collection of a name or an alias.
    pub fn collection(&mut self, name: &str) -> Answer<&mut Collection> {
        let name = self.aliases.get(name).map_or(name, String::as_str);
        let missing = || Status::not_found(format!("Collection `{name}` doesn't exist!"));
        self.collections.get_mut(name).ok_or_else(missing)
    }

    pub fn health(&mut self, _: HealthCheckRequest) -> Answer<HealthCheckReply> {
        let version = "1.17.0".to_owned();
        Ok(HealthCheckReply { title: "qdrant".into(), version, commit: None })
    }

    pub fn query_batch(&mut self, batch: QueryBatchPoints) -> Answer<QueryBatchResponse> {
        self.batches.push(batch.clone());
        let collection = self.collection(&batch.collection_name)?;
        let found = batch.query_points.iter().map(|it| collection.search(it));
        let found: Answer<Vec<_>> = found.collect();
        let result = found?.into_iter().map(|result| BatchResult { result }).collect();
        Ok(QueryBatchResponse { result, ..Default::default() })
    }

    pub fn query(&mut self, query: QueryPoints) -> Answer<QueryResponse> {
        let result = self.collection(&query.collection_name)?.search(&query)?;
        Ok(QueryResponse { result, ..Default::default() })
    }

    pub fn scroll(&mut self, scroll: ScrollPoints) -> Answer<ScrollResponse> {
        let collection = self.collection(&scroll.collection_name)?;
        let limit = scroll.limit.unwrap_or(10) as usize;
        let result = collection.points.values().take(limit).map(Point::whole).collect();
        Ok(ScrollResponse { result, ..Default::default() })
    }

    pub fn points(&mut self, get: GetPoints) -> Answer<GetResponse> {
        let collection = self.collection(&get.collection_name)?;
        let found = get.ids.iter().filter_map(|id| collection.points.get(&key(id)));
        Ok(GetResponse {
            result: found.map(Point::whole).collect(),
            ..Default::default()
        })
    }

    pub fn upsert(&mut self, upsert: UpsertPoints) -> Answer<PointsOperationResponse> {
        let collection = self.collection(&upsert.collection_name)?;
        for point in upsert.points {
            let point = Point::new(point)?;
            for (name, vector) in &point.dense {
                collection.fits(name, vector.len())?;
            }
            let sparse = collection.made.sparse_vectors_config.as_ref();
            if let Some(name) = point
                .sparse
                .keys()
                .find(|it| sparse.is_none_or(|s| !s.map.contains_key(*it)))
            {
                return Err(unknown(name));
            }
            collection.points.insert(key(&point.id), point);
        }
        Ok(PointsOperationResponse::default())
    }

    pub fn count(&mut self, count: CountPoints) -> Answer<CountResponse> {
        let collection = self.collection(&count.collection_name)?;
        let filter = count.filter.as_ref();
        let them = collection.points.values().filter(|it| it.passes(filter));
        let count = them.count() as u64;
        Ok(CountResponse { result: Some(CountResult { count }), ..Default::default() })
    }

    pub fn create_index(
        &mut self,
        index: CreateFieldIndexCollection,
    ) -> Answer<PointsOperationResponse> {
        self.collection(&index.collection_name)?.indexes.push(index.field_name);
        Ok(PointsOperationResponse::default())
    }

    pub fn list(&mut self, _: ListCollectionsRequest) -> Answer<ListCollectionsResponse> {
        let names = self.collections.keys().cloned();
        let collections = names.map(|name| CollectionDescription { name }).collect();
        Ok(ListCollectionsResponse { collections, ..Default::default() })
    }

    pub fn info(
        &mut self,
        get: GetCollectionInfoRequest,
    ) -> Answer<GetCollectionInfoResponse> {
        let collection = self.collection(&get.collection_name)?;
        let params = CollectionParams {
            vectors_config: collection.made.vectors_config.clone(),
            sparse_vectors_config: collection.made.sparse_vectors_config.clone(),
            ..Default::default()
        };
        let config = CollectionConfig { params: Some(params), ..Default::default() };
        let points_count = Some(collection.points.len() as u64);
        let info =
            CollectionInfo { config: Some(config), points_count, ..Default::default() };
        Ok(GetCollectionInfoResponse { result: Some(info), ..Default::default() })
    }

    pub fn create(
        &mut self,
        made: CreateCollection,
    ) -> Answer<CollectionOperationResponse> {
        let name = made.collection_name.clone();
        if self.collections.contains_key(&name) || self.aliases.contains_key(&name) {
            return Err(Status::already_exists(format!("`{name}` already exists!")));
        }
        self.collections.insert(name, Collection { made, ..Collection::default() });
        Ok(CollectionOperationResponse { result: true, ..Default::default() })
    }

    pub fn delete(
        &mut self,
        delete: DeleteCollection,
    ) -> Answer<CollectionOperationResponse> {
        let name = &delete.collection_name;
        let result = self.collections.remove(name).is_some();
        self.aliases.retain(|_, named| named != name);
        Ok(CollectionOperationResponse { result, ..Default::default() })
    }

    pub fn list_aliases(&mut self, _: ListAliasesRequest) -> Answer<ListAliasesResponse> {
        let pairs = self.aliases.clone().into_iter();
        let aliases = pairs.map(|(alias_name, collection_name)| AliasDescription {
            alias_name,
            collection_name,
        });
        Ok(ListAliasesResponse { aliases: aliases.collect(), ..Default::default() })
    }

    pub fn update_aliases(
        &mut self,
        change: ChangeAliases,
    ) -> Answer<CollectionOperationResponse> {
        for action in change.actions.into_iter().filter_map(|it| it.action) {
            match action {
                Action::CreateAlias(it) => {
                    if !self.collections.contains_key(&it.collection_name) {
                        return Err(Status::not_found("no such collection"));
                    }
                    if self.collections.contains_key(&it.alias_name) {
                        return Err(Status::already_exists("a collection has this name"));
                    }
                    self.aliases.insert(it.alias_name, it.collection_name);
                }
                Action::DeleteAlias(it) => {
                    self.aliases.remove(&it.alias_name);
                }
                Action::RenameAlias(_) => return Err(Status::unimplemented("rename")),
            }
        }
        Ok(CollectionOperationResponse { result: true, ..Default::default() })
    }
}

impl Collection {
    /// Equal scores come back by descending id: Qdrant promises no order among equals, so
    /// this one is the least convenient.
    fn search(&self, query: &QueryPoints) -> Answer<Vec<ScoredPoint>> {
        let name = query.using.as_deref().unwrap_or_default();
        let Some(query::Variant::Nearest(nearest)) =
            query.query.as_ref().and_then(|it| it.variant.as_ref())
        else {
            return Err(Status::unimplemented("only the nearest points"));
        };
        let scored: Vec<(&Point, f32)> = match nearest.variant.as_ref() {
            Some(vector_input::Variant::Dense(question)) => {
                self.fits(name, question.data.len())?;
                let with = self.points.values();
                with.filter_map(|it| {
                    Some((it, cosine(it.dense.get(name)?, &question.data)))
                })
                .collect()
            }
            Some(vector_input::Variant::Sparse(question)) => self.bm25(name, question)?,
            _ => return Err(Status::unimplemented("only dense and sparse vectors")),
        };
        let mut scored: Vec<_> = scored
            .into_iter()
            .filter(|(it, _)| it.passes(query.filter.as_ref()))
            .collect();
        scored.sort_by(|(a, one), (b, other)| {
            other.total_cmp(one).then_with(|| key(&b.id).cmp(&key(&a.id)))
        });
        scored.truncate(query.limit.unwrap_or(10) as usize);
        let spell = |(it, score): (&Point, f32)| ScoredPoint {
            id: Some(it.id.clone()),
            payload: it.payload.clone(),
            score,
            ..Default::default()
        };
        Ok(scored.into_iter().map(spell).collect())
    }

    /// The sparse dot product; `modifier: idf` multiplies each word of the question by
    /// ln(1 + (N - n + 0.5) / (n + 0.5)), N and n over the whole collection.
    fn bm25(&self, name: &str, question: &SparseVector) -> Answer<Vec<(&Point, f32)>> {
        let made = self.made.sparse_vectors_config.as_ref();
        let made = made.and_then(|it| it.map.get(name)).ok_or_else(|| unknown(name))?;
        let idf = made.modifier == Some(Modifier::Idf as i32);
        let documents: Vec<_> =
            self.points.values().filter_map(|it| it.sparse.get(name)).collect();
        let all = documents.len() as f64;
        let weight = |dimension: u32| {
            let with =
                documents.iter().filter(|it| it.iter().any(|(d, _)| *d == dimension));
            let with = with.count() as f64;
            if idf { (1.0 + (all - with + 0.5) / (with + 0.5)).ln() } else { 1.0 }
        };
        let question: Vec<(u32, f64)> = question
            .indices
            .iter()
            .zip(&question.values)
            .map(|(d, value)| (*d, f64::from(*value) * weight(*d)))
            .collect();
        let score = |point: &Point| {
            let document = point.sparse.get(name)?;
            let mut shared = question.iter().flat_map(|(d, asked)| {
                document
                    .iter()
                    .filter(move |(it, _)| it == d)
                    .map(move |it| asked * f64::from(it.1))
            });
            let first = shared.next()?;
            Some(shared.fold(first, |sum, it| sum + it) as f32)
        };
        Ok(self.points.values().filter_map(|it| Some((it, score(it)?))).collect())
    }

    fn fits(&self, name: &str, length: usize) -> Answer<()> {
        let config = self.made.vectors_config.as_ref().and_then(|it| it.config.as_ref());
        let size = match config {
            Some(Config::Params(it)) if name.is_empty() => it.size,
            Some(Config::ParamsMap(them)) => {
                them.map.get(name).ok_or_else(|| unknown(name))?.size
            }
            _ => return Err(unknown(name)),
        };
        if size as usize == length {
            return Ok(());
        }
        let wrong = format!("Vector dimension error: expected dim: {size}, got {length}");
        Err(Status::invalid_argument(wrong))
    }
}

impl Point {
    fn new(point: PointStruct) -> Answer<Self> {
        let named = match point.vectors.and_then(|it| it.vectors_options) {
            None => HashMap::new(),
            Some(VectorsOptions::Vector(it)) => HashMap::from([(String::new(), it)]),
            Some(VectorsOptions::Vectors(them)) => them.vectors,
        };
        let (mut dense, mut sparse) = (BTreeMap::new(), BTreeMap::new());
        for (name, given) in named {
            match given.vector {
                Some(vector::Vector::Dense(it)) => {
                    dense.insert(name, it.data);
                }
                Some(vector::Vector::Sparse(it)) => {
                    sparse.insert(name, it.indices.into_iter().zip(it.values).collect());
                }
                _ => return Err(Status::unimplemented("only dense and sparse vectors")),
            }
        }
        let id =
            point.id.ok_or_else(|| Status::invalid_argument("a point needs an id"))?;
        Ok(Self { id, payload: point.payload, dense, sparse })
    }

    fn whole(&self) -> RetrievedPoint {
        let dense = self.dense.iter().map(|(name, it)| {
            (name.clone(), vector_output::Vector::Dense(DenseVector { data: it.clone() }))
        });
        let sparse = self.sparse.iter().map(|(name, it)| {
            let (indices, values) = it.iter().copied().unzip();
            (
                name.clone(),
                vector_output::Vector::Sparse(SparseVector { values, indices }),
            )
        });
        let output = |it| VectorOutput { vector: Some(it), ..Default::default() };
        let mut named: HashMap<_, _> =
            dense.chain(sparse).map(|(name, it)| (name, output(it))).collect();
        let options = match named.remove("") {
            Some(only) if named.is_empty() => {
                vectors_output::VectorsOptions::Vector(only)
            }
            unnamed => {
                named.extend(unnamed.map(|it| (String::new(), it)));
                vectors_output::VectorsOptions::Vectors(NamedVectorsOutput {
                    vectors: named,
                })
            }
        };
        RetrievedPoint {
            id: Some(self.id.clone()),
            payload: self.payload.clone(),
            vectors: Some(VectorsOutput { vectors_options: Some(options) }),
            ..Default::default()
        }
    }

    /// Every condition holds; on a list, for any of its elements.
    fn passes(&self, filter: Option<&Filter>) -> bool {
        filter.is_none_or(|it| {
            it.must.iter().all(|condition| {
                let Some(ConditionOneOf::Field(field)) = &condition.condition_one_of
                else {
                    panic!("the fake knows conditions on fields only");
                };
                let wanted =
                    field.r#match.as_ref().and_then(|it| it.match_value.as_ref());
                let Some(MatchValue::Keyword(wanted)) = wanted else {
                    panic!("the fake knows keywords only");
                };
                match self.payload.get(&field.key).and_then(|it| it.kind.as_ref()) {
                    Some(Kind::StringValue(it)) => it == wanted,
                    Some(Kind::ListValue(them)) => {
                        them.values.iter().any(|it| it.as_str() == Some(wanted))
                    }
                    _ => false,
                }
            })
        })
    }
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    (dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()) as f32
}

fn key(id: &PointId) -> String {
    match id.point_id_options.as_ref() {
        Some(PointIdOptions::Uuid(it)) => it.clone(),
        Some(PointIdOptions::Num(it)) => format!("{it:020}"),
        None => String::new(),
    }
}

fn unknown(name: &str) -> Status {
    Status::invalid_argument(format!("Not existing vector name error: {name}"))
}
