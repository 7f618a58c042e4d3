//! The pure core of chroma-ha: values in, values out. No socket, clock, task, SQL, actor or log line
//! lives here; time, ids and chance come in as arguments.
//!
//! | file | the question it answers |
//! |---|---|
//! | `ids` | what names a node, a position in the log, a stream |
//! | `route` | what does this request mean, and how is its path spelt for one node |
//! | `access` | may whoever shows this API key do that |
//! | `v1` | which v2 request does a v1 request stand for, and how does its answer look |
//! | `entry` | what is one logged write, and which decisions about it are legal |
//! | `coalesce` | which writes go to a node as one request, and how is that spelt |
//! | `conversion` | which records does a deletion reach under other ids |
//! | `effect` | what does an entry do to records, independent of when it is applied |
//! | `poison` | which writes must not be logged because nodes die on them |
//! | `validation` | which writes will Chroma surely take |
//! | `answer` | what does a node's answer to a write mean |
//! | `catalog` | which collections and databases exist, under which ids, on which node |
//! | `idempotency` | what does a client hear that sends a write again |
//! | `listing` | which page of a node's records comes next while records are deleted there |
//! | `portion` | how many records one request of a copy carries |
//! | `lane` | what does one node apply next in one stream |
//! | `likeness` | are two records the same, but for Chroma's own rounding |
//! | `sequencer` | who acts, who follows, who may be read, how far is each node |
//! | `delivery` | which requests and records carry one task out on one node, and what becomes of it |
//! | `commit` | which waiting writes go into the next log transaction |
//! | `lease` | until when is the lease certain, and may reads be answered after that |
//! | `health` | what do a node's probes and outcomes say about it |
//! | `routing` | which of the readable nodes gets this read |
//! | `backoff` | how long to wait before the next attempt |
//! | `pressure` | how loaded is this host |
//! | `headline` | what is wrong at this moment, in one sentence |
//! | `quantile` | below which value did a share of the observations stay |
//! | `supervision` | how long does a fallen actor wait, when does a restart no longer help, when is a silent one given up |
//! | `alert` | which facts deserve a person, in which words, and which message repeats another |
//! | `trace` | which trace does a request belong to, and how is that passed on |
//! | `orders` | what did operators order about nodes, and are these all that hold |
//! | `operator` | which words are kept of what operators do and must look at |
//! | `backup` | what is a backup, and which requests restore it |
//! | `preflight` | what may a client believe of every server |
//! | `port` | the two things the actors need from outside: a log store and nodes |

pub mod access;
pub mod alert;
pub mod answer;
pub mod backoff;
pub mod backup;
pub mod catalog;
pub mod coalesce;
pub mod commit;
pub mod conversion;
pub mod delivery;
pub mod effect;
pub mod entry;
pub mod headline;
pub mod health;
pub mod idempotency;
pub mod ids;
pub mod lane;
pub mod lease;
pub mod likeness;
pub mod listing;
pub mod operator;
pub mod orders;
pub mod poison;
pub mod port;
pub mod portion;
pub mod preflight;
pub mod pressure;
pub mod quantile;
pub mod route;
pub mod routing;
pub mod sequencer;
pub mod supervision;
pub mod trace;
pub mod v1;
pub mod validation;
