CREATE TABLE public.cells (
    id text NOT NULL COLLATE pg_catalog."C",
    comparable text NOT NULL COLLATE pg_catalog."C",
    flow text NOT NULL COLLATE pg_catalog."C",
    profile text NOT NULL COLLATE pg_catalog."C",
    dataset text NOT NULL COLLATE pg_catalog."C",
    variant text NOT NULL COLLATE pg_catalog."C",
    data_digest text NOT NULL COLLATE pg_catalog."C",
    recipe_id text NOT NULL COLLATE pg_catalog."C",
    factorization text NOT NULL COLLATE pg_catalog."C",
    budget integer,
    map_options text COLLATE pg_catalog."C",
    protocol text NOT NULL COLLATE pg_catalog."C",
    "precision" text NOT NULL COLLATE pg_catalog."C",
    seeds integer NOT NULL,
    mean double precision NOT NULL,
    squared_deviations double precision NOT NULL,
    "least" double precision NOT NULL,
    "greatest" double precision NOT NULL,
    holdout_mean double precision NOT NULL,
    holdout_squared_deviations double precision NOT NULL
);


--
-- Name: TABLE cells; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.cells IS 'Results summed up over seeds, kept in the transaction that adds a result.';


--
-- Name: COLUMN cells.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.id IS 'content hash of what its results share: all of them but the seed';


--
-- Name: COLUMN cells.comparable; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.comparable IS 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together';


--
-- Name: COLUMN cells.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.flow IS 'name of the flow';


--
-- Name: COLUMN cells.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.profile IS 'profile of the recipe';


--
-- Name: COLUMN cells.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.dataset IS 'name of the data set';


--
-- Name: COLUMN cells.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.variant IS 'variant of the data set';


--
-- Name: COLUMN cells.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.data_digest IS 'the exact data set';


--
-- Name: COLUMN cells.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.recipe_id IS 'the recipe';


--
-- Name: COLUMN cells.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.factorization IS 'canonical name of the factorization';


--
-- Name: COLUMN cells.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.budget IS 'pretraining steps behind the maps, null where no map is used';


--
-- Name: COLUMN cells.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.map_options IS 'options of the map as JSON, null for the default or no map';


--
-- Name: COLUMN cells.protocol; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.protocol IS 'name of the evaluation protocol';


--
-- Name: COLUMN cells."precision"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells."precision" IS 'number format of the evaluation';


--
-- Name: COLUMN cells.seeds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.seeds IS 'number of results';


--
-- Name: COLUMN cells.mean; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.mean IS 'mean bits per dimension on the test part over seeds';


--
-- Name: COLUMN cells.squared_deviations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.squared_deviations IS 'sum over seeds of squared deviations from the mean';


--
-- Name: COLUMN cells."least"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells."least" IS 'bits per dimension of the best seed';


--
-- Name: COLUMN cells."greatest"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells."greatest" IS 'bits per dimension of the worst seed';


--
-- Name: COLUMN cells.holdout_mean; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.holdout_mean IS 'mean bits per dimension on the holdout part over seeds';


--
-- Name: COLUMN cells.holdout_squared_deviations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.cells.holdout_squared_deviations IS 'sum over seeds of squared deviations from holdout_mean';


--
-- Name: recipes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.recipes (
    id text NOT NULL COLLATE pg_catalog."C",
    flow text NOT NULL COLLATE pg_catalog."C",
    profile text NOT NULL COLLATE pg_catalog."C",
    splits integer NOT NULL,
    size integer NOT NULL,
    steps integer NOT NULL,
    body text NOT NULL COLLATE pg_catalog."C",
    conventional text COLLATE pg_catalog."C"
);


--
-- Name: TABLE recipes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.recipes IS 'Resolved training recipes: all that fixes the training of one flow on one data set.';


--
-- Name: COLUMN recipes.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.recipes.id IS 'content hash of the recipe';


--
-- Name: COLUMN recipes.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.recipes.flow IS 'name of the flow, such as ''realnvp''';


--
-- Name: COLUMN recipes.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.recipes.profile IS 'size of the recipe: ''paper'', ''small'', ''tiny'' or a custom one';


--
-- Name: COLUMN recipes.splits; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.recipes.splits IS 'number of splits, 0 for a flow with none';


--
-- Name: COLUMN recipes.size; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.recipes.size IS 'height and width of the images in pixels';


--
-- Name: COLUMN recipes.steps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.recipes.steps IS 'length of the training in optimizer steps';


--
-- Name: COLUMN recipes.body; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.recipes.body IS 'the whole resolved recipe as canonical JSON';


--
-- Name: COLUMN recipes.conventional; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.recipes.conventional IS 'canonical name of the flow''s conventional factorization on it, ''none'' without splits; null for a flow that was not known';


--
-- Name: reference_results; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reference_results (
    id text NOT NULL COLLATE pg_catalog."C",
    source text NOT NULL COLLATE pg_catalog."C",
    source_table text NOT NULL COLLATE pg_catalog."C",
    flow text NOT NULL COLLATE pg_catalog."C",
    dataset text NOT NULL COLLATE pg_catalog."C",
    factorization text NOT NULL COLLATE pg_catalog."C",
    bits_per_dim double precision NOT NULL,
    part text NOT NULL COLLATE pg_catalog."C",
    note text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: TABLE reference_results; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.reference_results IS 'Numbers that papers print, none of which was measured here.';


--
-- Name: COLUMN reference_results.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reference_results.id IS 'content hash of the other columns but `note`';


--
-- Name: COLUMN reference_results.source; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reference_results.source IS 'the paper';


--
-- Name: COLUMN reference_results.source_table; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reference_results.source_table IS 'number of its table';


--
-- Name: COLUMN reference_results.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reference_results.flow IS 'name of the flow';


--
-- Name: COLUMN reference_results.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reference_results.dataset IS 'name of the data set, with its variant';


--
-- Name: COLUMN reference_results.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reference_results.factorization IS 'name of the factorization as it is asked for';


--
-- Name: COLUMN reference_results.bits_per_dim; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reference_results.bits_per_dim IS 'bits per dimension as printed';


--
-- Name: COLUMN reference_results.part; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reference_results.part IS 'part of the data set, as far as the paper says: else ''unspecified''';


--
-- Name: COLUMN reference_results.note; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reference_results.note IS 'what to keep in mind, may be empty';


--
-- Name: against_paper; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.against_paper AS
 SELECT cells.dataset,
    cells.variant,
    cells.flow,
    cells.profile,
        CASE
            WHEN (cells.profile = 'paper'::text) THEN 1
            ELSE 0
        END AS paper_profile,
    cells.protocol,
    cells."precision",
    cells.factorization,
    cells.budget,
    cells.map_options,
    cells.seeds AS n,
    cells.mean,
    cells.squared_deviations,
    printed.factorization AS printed_as,
    printed.bits_per_dim AS printed,
    (cells.mean - printed.bits_per_dim) AS difference,
    printed.source,
    printed.source_table,
    printed.part,
    printed.note,
    cells.data_digest,
    cells.recipe_id,
    cells.comparable,
    cells.id AS cell_id,
    printed.id AS reference_id
   FROM ((public.cells
     JOIN public.recipes ON ((recipes.id = cells.recipe_id)))
     JOIN public.reference_results printed ON (((printed.flow = cells.flow) AND (printed.dataset =
        CASE
            WHEN (cells.variant = ANY (ARRAY['u8'::text, 'npz'::text])) THEN cells.dataset
            ELSE ((cells.dataset || '-'::text) || cells.variant)
        END) AND ((printed.factorization = cells.factorization) OR ((printed.factorization = 'low'::text) AND (replace(cells.factorization, 'L'::text, ''::text) = ''::text)) OR ((printed.factorization = 'high'::text) AND (replace(cells.factorization, 'H'::text, ''::text) = ''::text)) OR ((printed.factorization = 'checkerboard'::text) AND (cells.factorization = 'checkerboard-even'::text)) OR ((printed.factorization = 'conventional'::text) AND (cells.factorization = recipes.conventional))))));


--
-- Name: VIEW against_paper; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.against_paper IS 'Cells beside the numbers that papers print of the same flow, data set and factorization, under any of its names.';


--
-- Name: COLUMN against_paper.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.dataset IS 'name of the data set';


--
-- Name: COLUMN against_paper.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.variant IS 'variant of the data set';


--
-- Name: COLUMN against_paper.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.flow IS 'name of the flow';


--
-- Name: COLUMN against_paper.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.profile IS 'profile of the recipe';


--
-- Name: COLUMN against_paper.paper_profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.paper_profile IS '1 for the profile ''paper'', else 0: another training';


--
-- Name: COLUMN against_paper.protocol; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.protocol IS 'name of the evaluation protocol';


--
-- Name: COLUMN against_paper."precision"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper."precision" IS 'number format of the evaluation';


--
-- Name: COLUMN against_paper.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.factorization IS 'canonical name of the factorization';


--
-- Name: COLUMN against_paper.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.budget IS 'pretraining steps behind the maps, null where none is used';


--
-- Name: COLUMN against_paper.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.map_options IS 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`';


--
-- Name: COLUMN against_paper.n; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.n IS 'number of seeds';


--
-- Name: COLUMN against_paper.mean; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.mean IS 'mean bits per dimension on the test part over seeds';


--
-- Name: COLUMN against_paper.squared_deviations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.squared_deviations IS 'sum over seeds of squared deviations from mean';


--
-- Name: COLUMN against_paper.printed_as; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.printed_as IS 'the factorization''s name in the paper, such as ''low''';


--
-- Name: COLUMN against_paper.printed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.printed IS 'bits per dimension as printed';


--
-- Name: COLUMN against_paper.difference; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.difference IS 'mean - printed';


--
-- Name: COLUMN against_paper.source; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.source IS 'the paper';


--
-- Name: COLUMN against_paper.source_table; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.source_table IS 'number of its table';


--
-- Name: COLUMN against_paper.part; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.part IS 'part of the data set, as far as the paper says: else ''unspecified''';


--
-- Name: COLUMN against_paper.note; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.note IS 'what to keep in mind, may be empty';


--
-- Name: COLUMN against_paper.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.data_digest IS 'content hash of the exact data set';


--
-- Name: COLUMN against_paper.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.recipe_id IS 'the recipe';


--
-- Name: COLUMN against_paper.comparable; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.comparable IS 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together';


--
-- Name: COLUMN against_paper.cell_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.cell_id IS 'what the results are seeds of (cells.id)';


--
-- Name: COLUMN against_paper.reference_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.against_paper.reference_id IS 'the printed number (reference_results.id)';


--
-- Name: artifacts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.artifacts (
    id integer NOT NULL,
    job_id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    path text NOT NULL COLLATE pg_catalog."C",
    bytes bigint NOT NULL,
    digest text NOT NULL COLLATE pg_catalog."C",
    created double precision NOT NULL,
    place text COLLATE pg_catalog."C"
);


--
-- Name: TABLE artifacts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.artifacts IS 'Files that jobs left, kept outside the database.';


--
-- Name: COLUMN artifacts.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.artifacts.id IS 'running number';


--
-- Name: COLUMN artifacts.job_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.artifacts.job_id IS 'the job';


--
-- Name: COLUMN artifacts.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.artifacts.kind IS 'what it is: ''checkpoint'', ''weights'', ''samples'' and the like';


--
-- Name: COLUMN artifacts.path; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.artifacts.path IS 'where it is, under the launch''s storage folder';


--
-- Name: COLUMN artifacts.bytes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.artifacts.bytes IS 'length in bytes';


--
-- Name: COLUMN artifacts.digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.artifacts.digest IS 'sha256 of the file';


--
-- Name: COLUMN artifacts.created; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.artifacts.created IS 'when the row was added, Unix seconds UTC';


--
-- Name: COLUMN artifacts.place; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.artifacts.place IS 'host and storage folder of the launch, as HOST:FOLDER; null if it was made before schema 0005';


--
-- Name: artifacts_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.artifacts_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: artifacts_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.artifacts_id_seq OWNED BY public.artifacts.id;


--
-- Name: attempts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.attempts (
    id integer NOT NULL,
    job_id text NOT NULL COLLATE pg_catalog."C",
    token integer NOT NULL,
    owner text NOT NULL COLLATE pg_catalog."C",
    host text NOT NULL COLLATE pg_catalog."C",
    environment_id text NOT NULL COLLATE pg_catalog."C",
    device text NOT NULL COLLATE pg_catalog."C",
    threads integer NOT NULL,
    started double precision NOT NULL,
    ended double precision,
    outcome text COLLATE pg_catalog."C",
    message text NOT NULL COLLATE pg_catalog."C",
    first_step integer NOT NULL,
    last_step integer NOT NULL,
    seconds double precision,
    cpu_seconds double precision,
    images_per_second double precision,
    peak_memory bigint,
    protocol text COLLATE pg_catalog."C",
    data_wait double precision,
    devices text COLLATE pg_catalog."C",
    gpu_seconds double precision,
    lease_seconds double precision,
    log text COLLATE pg_catalog."C",
    CONSTRAINT ck_attempts_end CHECK (((ended IS NULL) = (outcome IS NULL))),
    CONSTRAINT ck_attempts_outcome CHECK ((outcome = ANY (ARRAY['done'::text, 'pruned'::text, 'diverged'::text, 'oom'::text, 'preempted'::text, 'node_lost'::text, 'timeout'::text, 'code_error'::text, 'cancelled'::text])))
);


--
-- Name: TABLE attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.attempts IS 'Executions of jobs, and evaluations of what they left, each ended by one outcome.';


--
-- Name: COLUMN attempts.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.id IS 'running number';


--
-- Name: COLUMN attempts.job_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.job_id IS 'the job';


--
-- Name: COLUMN attempts.token; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.token IS 'which attempt at the job this is, from 1';


--
-- Name: COLUMN attempts.owner; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.owner IS 'launch that ran it';


--
-- Name: COLUMN attempts.host; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.host IS 'machine it ran on';


--
-- Name: COLUMN attempts.environment_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.environment_id IS 'versions and hardware it ran with';


--
-- Name: COLUMN attempts.device; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.device IS 'device it ran on, such as ''cpu'' or ''cuda:0''';


--
-- Name: COLUMN attempts.threads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.threads IS 'number of CPU threads';


--
-- Name: COLUMN attempts.started; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.started IS 'when it started, Unix seconds UTC';


--
-- Name: COLUMN attempts.ended; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.ended IS 'when it ended, Unix seconds UTC, null while it runs';


--
-- Name: COLUMN attempts.outcome; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.outcome IS 'how it ended: done, pruned, diverged, oom, preempted, node_lost, timeout, code_error, cancelled; null while it runs';


--
-- Name: COLUMN attempts.message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.message IS 'what went wrong in a line or more, empty when nothing did';


--
-- Name: COLUMN attempts.first_step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.first_step IS 'training step from which it went on';


--
-- Name: COLUMN attempts.last_step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.last_step IS 'training step it reached';


--
-- Name: COLUMN attempts.seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.seconds IS 'wall-clock seconds, null when it ended without a report';


--
-- Name: COLUMN attempts.cpu_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.cpu_seconds IS 'CPU seconds, null when it ended without a report';


--
-- Name: COLUMN attempts.images_per_second; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.images_per_second IS 'training images per second, null when not measured';


--
-- Name: COLUMN attempts.peak_memory; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.peak_memory IS 'peak memory in bytes, null when not measured';


--
-- Name: COLUMN attempts.protocol; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.protocol IS 'protocol by which it evaluated the weights that the job had left, without a claim and without training; null for an attempt at the job itself';


--
-- Name: COLUMN attempts.data_wait; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.data_wait IS 'share of the time of its training steps that went on waiting for images, 0 to 1; null when it made no step or was made before schema 0004';


--
-- Name: COLUMN attempts.devices; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.devices IS 'devices granted to it, as the driver names them, with commas between; null on a CPU';


--
-- Name: COLUMN attempts.gpu_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.gpu_seconds IS 'wall-clock seconds times the share of a GPU that it held; null on a CPU, and when it ended without a report';


--
-- Name: COLUMN attempts.lease_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.lease_seconds IS 'how long its lease was, seconds; null if it was made before schema 0005, and without a claim';


--
-- Name: COLUMN attempts.log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.attempts.log IS 'what it had to say while it ran, the last of it; null when it ended without a report';


--
-- Name: attempts_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.attempts_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: attempts_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.attempts_id_seq OWNED BY public.attempts.id;


--
-- Name: bars; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.bars (
    data_digest text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    bits_per_dim double precision,
    standard_error double precision,
    images integer NOT NULL,
    detail text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: TABLE bars; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.bars IS 'What any model has to beat on a data set: simple densities and lossless codecs.';


--
-- Name: COLUMN bars.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.bars.data_digest IS 'the exact data set';


--
-- Name: COLUMN bars.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.bars.name IS '''gaussian'', ''full-gaussian'', ''png'' or ''webp''';


--
-- Name: COLUMN bars.bits_per_dim; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.bars.bits_per_dim IS 'bits per dimension on the test part, null if left out';


--
-- Name: COLUMN bars.standard_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.bars.standard_error IS 'standard error over images or clusters';


--
-- Name: COLUMN bars.images; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.bars.images IS 'number of test images';


--
-- Name: COLUMN bars.detail; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.bars.detail IS 'what was done, or why it is left out';


--
-- Name: flow_trials; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.flow_trials (
    id text NOT NULL COLLATE pg_catalog."C",
    recipe_id text NOT NULL COLLATE pg_catalog."C",
    flow text NOT NULL COLLATE pg_catalog."C",
    profile text NOT NULL COLLATE pg_catalog."C",
    dataset text NOT NULL COLLATE pg_catalog."C",
    variant text NOT NULL COLLATE pg_catalog."C",
    factorization text NOT NULL COLLATE pg_catalog."C",
    seed integer NOT NULL,
    budget integer,
    pretraining_id text COLLATE pg_catalog."C",
    map_options text COLLATE pg_catalog."C",
    CONSTRAINT ck_flow_trials_map_origin CHECK (((budget IS NULL) = (pretraining_id IS NULL)))
);


--
-- Name: TABLE flow_trials; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.flow_trials IS 'Trials: a recipe on a data set with one factorization and one seed.';


--
-- Name: COLUMN flow_trials.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.flow_trials.id IS 'content hash of exactly what defines the trial';


--
-- Name: COLUMN flow_trials.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.flow_trials.recipe_id IS 'its recipe';


--
-- Name: COLUMN flow_trials.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.flow_trials.flow IS 'name of the flow';


--
-- Name: COLUMN flow_trials.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.flow_trials.profile IS 'profile of the recipe';


--
-- Name: COLUMN flow_trials.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.flow_trials.dataset IS 'name of the data set';


--
-- Name: COLUMN flow_trials.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.flow_trials.variant IS 'variant of the data set';


--
-- Name: COLUMN flow_trials.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.flow_trials.factorization IS 'canonical name of the factorization, such as ''LLL''';


--
-- Name: COLUMN flow_trials.seed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.flow_trials.seed IS 'seed of everything random in the run';


--
-- Name: COLUMN flow_trials.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.flow_trials.budget IS 'pretraining steps behind the maps, null where no map is used';


--
-- Name: COLUMN flow_trials.pretraining_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.flow_trials.pretraining_id IS 'pretraining whose maps are used, null where no map is';


--
-- Name: COLUMN flow_trials.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.flow_trials.map_options IS 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`';


--
-- Name: index_tables; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.index_tables (
    trial_id text NOT NULL COLLATE pg_catalog."C",
    data_digest text NOT NULL COLLATE pg_catalog."C",
    split integer NOT NULL,
    channels integer NOT NULL,
    height integer NOT NULL,
    width integer NOT NULL,
    kept bytea NOT NULL,
    digest text NOT NULL COLLATE pg_catalog."C",
    iou_even double precision NOT NULL,
    iou_odd double precision NOT NULL,
    purity double precision NOT NULL,
    channel_purity double precision NOT NULL,
    mask_share double precision,
    mask_share_by_chance double precision,
    tied double precision,
    agreement double precision,
    attempt_id integer NOT NULL,
    CONSTRAINT ck_index_tables_split CHECK ((split >= 1))
);


--
-- Name: TABLE index_tables; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.index_tables IS 'Index tables of trained trials, split by split: what stays, and what it looks like.';


--
-- Name: COLUMN index_tables.trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.trial_id IS 'the trial';


--
-- Name: COLUMN index_tables.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.data_digest IS 'the exact data set';


--
-- Name: COLUMN index_tables.split; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.split IS 'the split, from 1';


--
-- Name: COLUMN index_tables.channels; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.channels IS 'channels of the image';


--
-- Name: COLUMN index_tables.height; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.height IS 'height of the image in pixels';


--
-- Name: COLUMN index_tables.width; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.width IS 'width of the image in pixels';


--
-- Name: COLUMN index_tables.kept; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.kept IS 'which dimensions are there after the split: a bit each, (C, H, W) of the image, C order, first bit highest';


--
-- Name: COLUMN index_tables.digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.digest IS 'sha256 of the split''s permutation, little-endian int64';


--
-- Name: COLUMN index_tables.iou_even; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.iou_even IS 'overlap (intersection over union) of what stays with checkerboard-even at this split; 1/3 by chance';


--
-- Name: COLUMN index_tables.iou_odd; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.iou_odd IS 'the same with checkerboard-odd';


--
-- Name: COLUMN index_tables.purity; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.purity IS 'lattice purity: share of windows with the most common pattern of what stays; from 1/6 where all six patterns are alike, to 1';


--
-- Name: COLUMN index_tables.channel_purity; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.channel_purity IS 'the same for each channel apart, averaged';


--
-- Name: COLUMN index_tables.mask_share; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.mask_share IS 'share of the variance of the map inside the windows that this split sees, that channel and position explain; null without a map or variance';


--
-- Name: COLUMN index_tables.mask_share_by_chance; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.mask_share_by_chance IS 'what mask_share is on average for a map with none';


--
-- Name: COLUMN index_tables.tied; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.tied IS 'share of windows in which ranks two and three of the map are equal; null without a map';


--
-- Name: COLUMN index_tables.agreement; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.agreement IS 'overlap of what stays after the split between the tables of two halves of the data; null without a map';


--
-- Name: COLUMN index_tables.attempt_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.index_tables.attempt_id IS 'attempt that used it';


--
-- Name: jobs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.jobs (
    id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    pretraining_id text COLLATE pg_catalog."C",
    trial_id text COLLATE pg_catalog."C",
    budget integer,
    data_digest text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL COLLATE pg_catalog."C",
    steps integer NOT NULL,
    step integer NOT NULL,
    token integer NOT NULL,
    attempt_id integer,
    owner text COLLATE pg_catalog."C",
    host text COLLATE pg_catalog."C",
    pid integer,
    lease_until double precision,
    updated double precision NOT NULL,
    CONSTRAINT ck_jobs_kind CHECK ((kind = ANY (ARRAY['pretraining'::text, 'trial'::text]))),
    CONSTRAINT ck_jobs_lease CHECK (((state = 'running'::text) = (lease_until IS NOT NULL))),
    CONSTRAINT ck_jobs_state CHECK ((state = ANY (ARRAY['pending'::text, 'running'::text, 'done'::text, 'diverged'::text, 'failed'::text]))),
    CONSTRAINT ck_jobs_subject CHECK ((((kind = 'pretraining'::text) AND (pretraining_id IS NOT NULL) AND (budget IS NOT NULL) AND (trial_id IS NULL)) OR ((kind = 'trial'::text) AND (trial_id IS NOT NULL) AND (pretraining_id IS NULL) AND (budget IS NULL))))
);


--
-- Name: TABLE jobs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.jobs IS 'Units of work: a trial, or one segment of a pretraining, on one exact data set.';


--
-- Name: COLUMN jobs.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.id IS 'content hash of kind, subject, budget and data';


--
-- Name: COLUMN jobs.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.kind IS '''pretraining'' or ''trial''';


--
-- Name: COLUMN jobs.pretraining_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.pretraining_id IS 'the pretraining this is a segment of, null for a trial';


--
-- Name: COLUMN jobs.trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.trial_id IS 'the trial, null for a pretraining';


--
-- Name: COLUMN jobs.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.budget IS 'training step at which the segment ends, null for a trial';


--
-- Name: COLUMN jobs.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.data_digest IS 'the exact data set it runs on';


--
-- Name: COLUMN jobs.state; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.state IS '''pending'', ''running'', ''done'', ''diverged'' or ''failed''';


--
-- Name: COLUMN jobs.steps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.steps IS 'training step at which the job is done';


--
-- Name: COLUMN jobs.step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.step IS 'training step last reported';


--
-- Name: COLUMN jobs.token; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.token IS 'number of attempts so far; a claim''s writes count under its own token only';


--
-- Name: COLUMN jobs.attempt_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.attempt_id IS 'its latest claim''s attempt (attempts.id), null before the first';


--
-- Name: COLUMN jobs.owner; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.owner IS 'launch that holds the job, null unless running';


--
-- Name: COLUMN jobs.host; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.host IS 'machine it runs on, null unless running';


--
-- Name: COLUMN jobs.pid; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.pid IS 'process it runs in, null unless running';


--
-- Name: COLUMN jobs.lease_until; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.lease_until IS 'when the lease ends, Unix seconds UTC, null unless running';


--
-- Name: COLUMN jobs.updated; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.jobs.updated IS 'when the row last changed, Unix seconds UTC';


--
-- Name: results; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.results (
    id text NOT NULL COLLATE pg_catalog."C",
    trial_id text NOT NULL COLLATE pg_catalog."C",
    data_digest text NOT NULL COLLATE pg_catalog."C",
    protocol text NOT NULL COLLATE pg_catalog."C",
    protocol_body text NOT NULL COLLATE pg_catalog."C",
    "precision" text NOT NULL COLLATE pg_catalog."C",
    step integer NOT NULL,
    bits_per_dim double precision NOT NULL,
    standard_error double precision,
    clusters integer,
    images integer NOT NULL,
    holdout_bits_per_dim double precision NOT NULL,
    holdout_standard_error double precision,
    train_bits_per_dim double precision,
    log_det double precision NOT NULL,
    log_prior double precision NOT NULL,
    attempt_id integer NOT NULL,
    created double precision NOT NULL,
    bound_draws integer,
    bound_images integer,
    bound_bits_per_dim double precision,
    bound_gain double precision,
    series_terms integer,
    series_bias double precision,
    series_bias_standard_error double precision,
    seed integer NOT NULL,
    cell_id text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: TABLE results; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.results IS 'Evaluated trials: one row for each trial, exact data set and protocol.';


--
-- Name: COLUMN results.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.id IS 'content hash of the result without bound and series';


--
-- Name: COLUMN results.trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.trial_id IS 'the trial';


--
-- Name: COLUMN results.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.data_digest IS 'the exact data set';


--
-- Name: COLUMN results.protocol; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.protocol IS 'name of the evaluation protocol, such as ''plain''';


--
-- Name: COLUMN results.protocol_body; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.protocol_body IS 'the whole protocol as JSON';


--
-- Name: COLUMN results."precision"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results."precision" IS 'number format of the evaluation, such as ''float32''';


--
-- Name: COLUMN results.step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.step IS 'training step of the evaluated weights';


--
-- Name: COLUMN results.bits_per_dim; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.bits_per_dim IS 'bits per dimension on the test part';


--
-- Name: COLUMN results.standard_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.standard_error IS 'standard error of bits_per_dim over images or clusters, null for a single one';


--
-- Name: COLUMN results.clusters; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.clusters IS 'clusters behind the standard errors, null for none';


--
-- Name: COLUMN results.images; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.images IS 'number of test images';


--
-- Name: COLUMN results.holdout_bits_per_dim; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.holdout_bits_per_dim IS 'bits per dimension on the holdout part';


--
-- Name: COLUMN results.holdout_standard_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.holdout_standard_error IS 'standard error of holdout_bits_per_dim, null for a single image or cluster';


--
-- Name: COLUMN results.train_bits_per_dim; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.train_bits_per_dim IS 'bits per dimension on train, null when not taken';


--
-- Name: COLUMN results.log_det; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.log_det IS 'mean log-det on the test part, nats per image';


--
-- Name: COLUMN results.log_prior; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.log_prior IS 'mean log-density of the latents there, nats per image';


--
-- Name: COLUMN results.attempt_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.attempt_id IS 'attempt that made it';


--
-- Name: COLUMN results.created; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.created IS 'when the row was added, Unix seconds UTC';


--
-- Name: COLUMN results.bound_draws; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.bound_draws IS 'K, dequantization draws of the importance-weighted bound; null when not taken';


--
-- Name: COLUMN results.bound_images; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.bound_images IS 'first test images that the bound is over; null when not taken';


--
-- Name: COLUMN results.bound_bits_per_dim; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.bound_bits_per_dim IS 'bits per dimension of -log of the mean likelihood over K draws, on those images; null when not taken';


--
-- Name: COLUMN results.bound_gain; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.bound_gain IS 'by how much that is below the bits per dimension of one draw on the same images; null when not taken';


--
-- Name: COLUMN results.series_terms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.series_terms IS 'exact terms of the power series of residual blocks; null for a flow without them';


--
-- Name: COLUMN results.series_bias; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.series_bias IS 'bits per dimension less those at twice as many terms with the same probes, on the first 200 test images; null without a series, and where roulette leaves no bias';


--
-- Name: COLUMN results.series_bias_standard_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.series_bias_standard_error IS 'standard error of series_bias over images or clusters, null with it or for one image';


--
-- Name: COLUMN results.seed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.seed IS 'seed of the trial';


--
-- Name: COLUMN results.cell_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.results.cell_id IS 'what it is a seed of';


--
-- Name: budget_curve; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.budget_curve AS
 SELECT cells.dataset,
    cells.variant,
    cells.flow,
    cells.profile,
    cells.protocol,
    cells."precision",
    cells.factorization,
    cells.map_options,
    cells.budget,
    cells.seeds AS n,
    cells.mean,
    cells.squared_deviations,
    ( SELECT (((sum((trunc(((a.seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision) / (count(DISTINCT results.id))::double precision)
           FROM (((public.results
             JOIN public.flow_trials ON ((flow_trials.id = results.trial_id)))
             JOIN public.jobs segment ON (((segment.pretraining_id = flow_trials.pretraining_id) AND (segment.data_digest = results.data_digest) AND (segment.budget <= flow_trials.budget))))
             JOIN public.attempts a ON (((a.job_id = segment.id) AND (a.seconds IS NOT NULL))))
          WHERE (results.cell_id = cells.id)) AS pretraining_seconds,
    ( SELECT (((sum((trunc(((seen.mask_share * ('1000000000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000000000'::numeric)::double precision) / (count(seen.mask_share))::double precision)
           FROM (public.results
             JOIN public.index_tables seen ON (((seen.trial_id = results.trial_id) AND (seen.data_digest = results.data_digest))))
          WHERE (results.cell_id = cells.id)) AS mask_share,
    ( SELECT (((sum((trunc(((seen.mask_share_by_chance * ('1000000000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000000000'::numeric)::double precision) / (count(seen.mask_share_by_chance))::double precision)
           FROM (public.results
             JOIN public.index_tables seen ON (((seen.trial_id = results.trial_id) AND (seen.data_digest = results.data_digest))))
          WHERE (results.cell_id = cells.id)) AS mask_share_by_chance,
    recipes.conventional,
    usual.seeds AS conventional_n,
    usual.mean AS conventional_mean,
    usual.squared_deviations AS conventional_squared_deviations,
    (cells.mean - usual.mean) AS from_conventional,
    cells.data_digest,
    cells.recipe_id,
    cells.comparable,
    cells.id AS cell_id
   FROM ((public.cells
     JOIN public.recipes ON ((recipes.id = cells.recipe_id)))
     LEFT JOIN public.cells usual ON ((usual.id = ( SELECT near.id
           FROM public.cells near
          WHERE ((near.comparable = cells.comparable) AND (near.recipe_id = cells.recipe_id) AND (near.factorization = recipes.conventional))
          ORDER BY near.mean, near.id
         LIMIT 1))))
  WHERE (cells.budget IS NOT NULL);


--
-- Name: VIEW budget_curve; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.budget_curve IS 'How much pretraining it takes: the cells that use maps by budget, beside the conventional factorization on the same recipe.';


--
-- Name: COLUMN budget_curve.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.dataset IS 'name of the data set';


--
-- Name: COLUMN budget_curve.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.variant IS 'variant of the data set';


--
-- Name: COLUMN budget_curve.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.flow IS 'name of the flow';


--
-- Name: COLUMN budget_curve.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.profile IS 'profile of the recipe';


--
-- Name: COLUMN budget_curve.protocol; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.protocol IS 'name of the evaluation protocol';


--
-- Name: COLUMN budget_curve."precision"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve."precision" IS 'number format of the evaluation';


--
-- Name: COLUMN budget_curve.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.factorization IS 'canonical name of the factorization';


--
-- Name: COLUMN budget_curve.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.map_options IS 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`';


--
-- Name: COLUMN budget_curve.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.budget IS 'pretraining steps behind the maps';


--
-- Name: COLUMN budget_curve.n; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.n IS 'number of seeds';


--
-- Name: COLUMN budget_curve.mean; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.mean IS 'mean bits per dimension on the test part over seeds';


--
-- Name: COLUMN budget_curve.squared_deviations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.squared_deviations IS 'sum over seeds of squared deviations from mean';


--
-- Name: COLUMN budget_curve.pretraining_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.pretraining_seconds IS 'wall-clock seconds of the pretraining up to the budget by itself, mean over seeds; null when not known';


--
-- Name: COLUMN budget_curve.mask_share; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.mask_share IS 'share of the variance of the maps that the lattice explains, mean over seeds and splits (index_tables.mask_share); null when not known';


--
-- Name: COLUMN budget_curve.mask_share_by_chance; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.mask_share_by_chance IS 'what that is on average for a map with none';


--
-- Name: COLUMN budget_curve.conventional; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.conventional IS 'canonical name of the flow''s conventional factorization, null for an unknown flow';


--
-- Name: COLUMN budget_curve.conventional_n; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.conventional_n IS 'its seeds on the same recipe, null without results';


--
-- Name: COLUMN budget_curve.conventional_mean; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.conventional_mean IS 'its mean bits per dimension there';


--
-- Name: COLUMN budget_curve.conventional_squared_deviations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.conventional_squared_deviations IS 'its sum of squared deviations';


--
-- Name: COLUMN budget_curve.from_conventional; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.from_conventional IS 'mean - conventional_mean';


--
-- Name: COLUMN budget_curve.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.data_digest IS 'content hash of the exact data set';


--
-- Name: COLUMN budget_curve.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.recipe_id IS 'the recipe';


--
-- Name: COLUMN budget_curve.comparable; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.comparable IS 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together';


--
-- Name: COLUMN budget_curve.cell_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.budget_curve.cell_id IS 'what the results are seeds of (cells.id)';


--
-- Name: contribution_maps; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.contribution_maps (
    id integer NOT NULL,
    pretraining_id text NOT NULL COLLATE pg_catalog."C",
    data_digest text NOT NULL COLLATE pg_catalog."C",
    budget integer NOT NULL,
    split integer NOT NULL,
    score text NOT NULL COLLATE pg_catalog."C",
    channels integer NOT NULL,
    height integer NOT NULL,
    width integer NOT NULL,
    dtype text NOT NULL COLLATE pg_catalog."C",
    "values" bytea NOT NULL,
    standard_errors bytea NOT NULL,
    digest text NOT NULL COLLATE pg_catalog."C",
    images integer NOT NULL,
    mean_log_det double precision NOT NULL,
    sum_error double precision NOT NULL,
    clusters integer,
    attempt_id integer NOT NULL,
    halves bytea,
    mask_share double precision,
    mask_share_by_chance double precision,
    standard_error double precision,
    rank_gap double precision,
    error_to_gap double precision,
    unresolved double precision,
    tied double precision,
    CONSTRAINT ck_contribution_maps_split CHECK ((split >= 1))
);


--
-- Name: TABLE contribution_maps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.contribution_maps IS 'Contribution maps: what each dimension adds to the log-det before a split. Windows are those of the flow without splits at that place.';


--
-- Name: COLUMN contribution_maps.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.id IS 'running number';


--
-- Name: COLUMN contribution_maps.pretraining_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.pretraining_id IS 'the pretraining';


--
-- Name: COLUMN contribution_maps.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.data_digest IS 'the exact data set';


--
-- Name: COLUMN contribution_maps.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.budget IS 'training step at which the map was taken';


--
-- Name: COLUMN contribution_maps.split; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.split IS 'split before which the map is taken, from 1';


--
-- Name: COLUMN contribution_maps.score; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.score IS '''cumulative'': log-det up to the split; ''normalized'': less half the log variance of the dimension''s value there; ''total'': log-det of all layers';


--
-- Name: COLUMN contribution_maps.channels; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.channels IS 'channels of the map';


--
-- Name: COLUMN contribution_maps.height; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.height IS 'height of the map in pixels';


--
-- Name: COLUMN contribution_maps.width; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.width IS 'width of the map in pixels';


--
-- Name: COLUMN contribution_maps.dtype; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.dtype IS 'type of an entry: ''<f4'', little-endian float32';


--
-- Name: COLUMN contribution_maps."values"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps."values" IS 'mean score in nats of each dimension; (C, H, W), C order; a keyword, to be quoted';


--
-- Name: COLUMN contribution_maps.standard_errors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.standard_errors IS 'standard errors of the values, laid out alike';


--
-- Name: COLUMN contribution_maps.digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.digest IS 'sha256 of `values`';


--
-- Name: COLUMN contribution_maps.images; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.images IS 'number of images averaged over';


--
-- Name: COLUMN contribution_maps.mean_log_det; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.mean_log_det IS 'scalar that the map sums to, nats per image, summed apart';


--
-- Name: COLUMN contribution_maps.sum_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.sum_error IS '|sum of values - mean_log_det| / sum of |values|';


--
-- Name: COLUMN contribution_maps.clusters; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.clusters IS 'clusters behind the standard errors, null for none';


--
-- Name: COLUMN contribution_maps.attempt_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.attempt_id IS 'attempt that made it';


--
-- Name: COLUMN contribution_maps.halves; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.halves IS 'the map from two halves of the images (alternating ones, or alternating clusters), (2, C, H, W), laid out alike; null if it was made before schema 0002';


--
-- Name: COLUMN contribution_maps.mask_share; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.mask_share IS 'share of the variance inside 2x2 windows that channel and position explain, 0 to 1; null where it cannot be known, and null if it was made before schema 0002';


--
-- Name: COLUMN contribution_maps.mask_share_by_chance; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.mask_share_by_chance IS 'what mask_share is on average for a map with none; null if it was made before schema 0002';


--
-- Name: COLUMN contribution_maps.standard_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.standard_error IS 'root mean square of standard_errors, nats; null where it cannot be known, and null if it was made before schema 0002';


--
-- Name: COLUMN contribution_maps.rank_gap; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.rank_gap IS 'median over windows of the second value less the third, nats; null if it was made before schema 0002';


--
-- Name: COLUMN contribution_maps.error_to_gap; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.error_to_gap IS 'standard_error / rank_gap; null where it cannot be known, and null if it was made before schema 0002';


--
-- Name: COLUMN contribution_maps.unresolved; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.unresolved IS 'share of windows whose gap between ranks two and three is at most two standard errors; null where it cannot be known, and null if it was made before schema 0002';


--
-- Name: COLUMN contribution_maps.tied; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.contribution_maps.tied IS 'share of windows in which ranks two and three are equal, so that raster order decides; null if it was made before schema 0002';


--
-- Name: contribution_maps_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.contribution_maps_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: contribution_maps_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.contribution_maps_id_seq OWNED BY public.contribution_maps.id;


--
-- Name: costs; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.costs AS
 SELECT flow,
    dataset,
    variant,
    profile,
    factorization,
    budget,
    map_options,
    seed,
    state,
    attempts,
    unreported,
    seconds,
    cpu_seconds,
    gpu_seconds,
    evaluation_seconds,
    images_per_second,
    peak_memory,
    data_wait,
    pretraining_seconds,
    pretraining_cpu_seconds,
    pretraining_gpu_seconds,
    data_digest,
    recipe_id,
    pretraining_id,
    trial_id,
    job_id,
    (seconds + COALESCE(pretraining_seconds, (0.0)::double precision)) AS total_seconds,
    (cpu_seconds + COALESCE(pretraining_cpu_seconds, (0.0)::double precision)) AS total_cpu_seconds,
    (gpu_seconds + COALESCE(pretraining_gpu_seconds, (0.0)::double precision)) AS total_gpu_seconds
   FROM ( SELECT flow_trials.flow,
            flow_trials.dataset,
            flow_trials.variant,
            flow_trials.profile,
            flow_trials.factorization,
            flow_trials.budget,
            flow_trials.map_options,
            flow_trials.seed,
            jobs.state,
            ( SELECT count(*) AS count
                   FROM public.attempts a
                  WHERE ((a.job_id = jobs.id) AND (a.protocol IS NULL))) AS attempts,
            ( SELECT count(*) AS count
                   FROM public.attempts a
                  WHERE ((a.job_id = jobs.id) AND (a.protocol IS NULL) AND (a.ended IS NOT NULL) AND (a.seconds IS NULL))) AS unreported,
            ( SELECT ((sum((trunc(((a.seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
                   FROM public.attempts a
                  WHERE ((a.job_id = jobs.id) AND (a.protocol IS NULL))) AS seconds,
            ( SELECT ((sum((trunc(((a.cpu_seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
                   FROM public.attempts a
                  WHERE ((a.job_id = jobs.id) AND (a.protocol IS NULL))) AS cpu_seconds,
            ( SELECT ((sum((trunc(((a.gpu_seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
                   FROM public.attempts a
                  WHERE ((a.job_id = jobs.id) AND (a.protocol IS NULL))) AS gpu_seconds,
            ( SELECT ((sum((trunc(((a.seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
                   FROM public.attempts a
                  WHERE ((a.job_id = jobs.id) AND (a.protocol IS NOT NULL))) AS evaluation_seconds,
            last.images_per_second,
            ( SELECT max(a.peak_memory) AS max
                   FROM public.attempts a
                  WHERE ((a.job_id = jobs.id) AND (a.protocol IS NULL))) AS peak_memory,
            ( SELECT max(a.data_wait) AS max
                   FROM public.attempts a
                  WHERE ((a.job_id = jobs.id) AND (a.protocol IS NULL))) AS data_wait,
            ( SELECT ((sum((trunc(((a.seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
                   FROM (public.jobs segment
                     JOIN public.attempts a ON ((a.job_id = segment.id)))
                  WHERE ((segment.pretraining_id = flow_trials.pretraining_id) AND (segment.data_digest = jobs.data_digest) AND (segment.budget <= flow_trials.budget) AND (a.protocol IS NULL))) AS pretraining_seconds,
            ( SELECT ((sum((trunc(((a.cpu_seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
                   FROM (public.jobs segment
                     JOIN public.attempts a ON ((a.job_id = segment.id)))
                  WHERE ((segment.pretraining_id = flow_trials.pretraining_id) AND (segment.data_digest = jobs.data_digest) AND (segment.budget <= flow_trials.budget) AND (a.protocol IS NULL))) AS pretraining_cpu_seconds,
            ( SELECT ((sum((trunc(((a.gpu_seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
                   FROM (public.jobs segment
                     JOIN public.attempts a ON ((a.job_id = segment.id)))
                  WHERE ((segment.pretraining_id = flow_trials.pretraining_id) AND (segment.data_digest = jobs.data_digest) AND (segment.budget <= flow_trials.budget) AND (a.protocol IS NULL))) AS pretraining_gpu_seconds,
            jobs.data_digest,
            flow_trials.recipe_id,
            flow_trials.pretraining_id,
            jobs.trial_id,
            jobs.id AS job_id
           FROM ((public.jobs
             JOIN public.flow_trials ON ((flow_trials.id = jobs.trial_id)))
             LEFT JOIN public.attempts last ON ((last.id = jobs.attempt_id)))) spent;


--
-- Name: VIEW costs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.costs IS 'What each trial cost on each exact data set, by itself. Sums over trials count a shared pretraining once for each; sum attempts for what was spent.';


--
-- Name: COLUMN costs.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.flow IS 'name of the flow';


--
-- Name: COLUMN costs.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.dataset IS 'name of the data set';


--
-- Name: COLUMN costs.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.variant IS 'variant of the data set';


--
-- Name: COLUMN costs.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.profile IS 'profile of the recipe';


--
-- Name: COLUMN costs.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.factorization IS 'canonical name of the factorization';


--
-- Name: COLUMN costs.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.budget IS 'pretraining steps behind the maps, null where none is used';


--
-- Name: COLUMN costs.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.map_options IS 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`';


--
-- Name: COLUMN costs.seed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.seed IS 'seed of the trial';


--
-- Name: COLUMN costs.state; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.state IS '''pending'', ''running'', ''done'', ''diverged'' or ''failed''';


--
-- Name: COLUMN costs.attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.attempts IS 'attempts at the trial, without evaluations';


--
-- Name: COLUMN costs.unreported; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.unreported IS 'those that ended without a report, and count as no time';


--
-- Name: COLUMN costs.seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.seconds IS 'wall-clock seconds of the attempts, lost ones too';


--
-- Name: COLUMN costs.cpu_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.cpu_seconds IS 'CPU seconds of the attempts';


--
-- Name: COLUMN costs.gpu_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.gpu_seconds IS 'GPU seconds of the attempts, null on a CPU';


--
-- Name: COLUMN costs.evaluation_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.evaluation_seconds IS 'wall-clock seconds of evaluations of kept weights';


--
-- Name: COLUMN costs.images_per_second; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.images_per_second IS 'training images per second of the last attempt';


--
-- Name: COLUMN costs.peak_memory; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.peak_memory IS 'largest peak memory of the attempts in bytes';


--
-- Name: COLUMN costs.data_wait; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.data_wait IS 'largest share of steps'' time that went on images, 0 to 1';


--
-- Name: COLUMN costs.pretraining_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.pretraining_seconds IS 'wall-clock seconds of the whole pretraining up to the budget, as if no other trial used it; null without one';


--
-- Name: COLUMN costs.pretraining_cpu_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.pretraining_cpu_seconds IS 'CPU seconds of the same';


--
-- Name: COLUMN costs.pretraining_gpu_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.pretraining_gpu_seconds IS 'GPU seconds of the same, null on a CPU';


--
-- Name: COLUMN costs.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.data_digest IS 'content hash of the exact data set';


--
-- Name: COLUMN costs.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.recipe_id IS 'the recipe';


--
-- Name: COLUMN costs.pretraining_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.pretraining_id IS 'pretraining whose maps are used, null where no map is';


--
-- Name: COLUMN costs.trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.trial_id IS 'the trial';


--
-- Name: COLUMN costs.job_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.job_id IS 'its job on this data set';


--
-- Name: COLUMN costs.total_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.total_seconds IS 'seconds + pretraining_seconds';


--
-- Name: COLUMN costs.total_cpu_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.total_cpu_seconds IS 'cpu_seconds + pretraining_cpu_seconds';


--
-- Name: COLUMN costs.total_gpu_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.costs.total_gpu_seconds IS 'gpu_seconds + pretraining_gpu_seconds';


--
-- Name: sweep_trials; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.sweep_trials (
    sweep_id text NOT NULL COLLATE pg_catalog."C",
    trial_id text NOT NULL COLLATE pg_catalog."C",
    factorization text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: TABLE sweep_trials; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.sweep_trials IS 'Which trials a sweep has, under the names that it asked for.';


--
-- Name: COLUMN sweep_trials.sweep_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.sweep_trials.sweep_id IS 'the sweep';


--
-- Name: COLUMN sweep_trials.trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.sweep_trials.trial_id IS 'a trial of the sweep';


--
-- Name: COLUMN sweep_trials.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.sweep_trials.factorization IS 'the factorization''s name as it was asked for, such as ''low''';


--
-- Name: sweeps; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.sweeps (
    id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    spec text NOT NULL COLLATE pg_catalog."C",
    created double precision NOT NULL
);


--
-- Name: TABLE sweeps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.sweeps IS 'Sweeps that were planned.';


--
-- Name: COLUMN sweeps.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.sweeps.id IS 'content hash of the spec';


--
-- Name: COLUMN sweeps.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.sweeps.name IS 'name of the sweep';


--
-- Name: COLUMN sweeps.spec; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.sweeps.spec IS 'what was asked for, as canonical JSON';


--
-- Name: COLUMN sweeps.created; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.sweeps.created IS 'when the row was added, Unix seconds UTC';


--
-- Name: coverage; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.coverage AS
 SELECT each.sweep,
    each.flow,
    each.dataset,
    each.variant,
    each.profile,
    each.asked,
    each.factorization,
    each.budget,
    each.map_options,
    count(*) AS planned,
    sum(
        CASE
            WHEN (each.state = 'done'::text) THEN 1
            ELSE 0
        END) AS done,
    sum(
        CASE
            WHEN (each.state = 'running'::text) THEN 1
            ELSE 0
        END) AS running,
    sum(
        CASE
            WHEN ((each.state = 'pending'::text) AND (each.lost_at IS NULL)) THEN 1
            ELSE 0
        END) AS pending,
    sum(
        CASE
            WHEN ((each.state = 'pending'::text) AND (each.lost_at IS NOT NULL)) THEN 1
            ELSE 0
        END) AS blocked,
    sum(
        CASE
            WHEN (each.state = 'diverged'::text) THEN 1
            ELSE 0
        END) AS diverged,
    sum(
        CASE
            WHEN (each.state = 'failed'::text) THEN 1
            ELSE 0
        END) AS failed,
    substr(min((
        CASE
            WHEN (each.state = 'done'::text) THEN NULL::text
            WHEN (each.state = ANY (ARRAY['failed'::text, 'diverged'::text])) THEN ('1'::text || COALESCE((last.outcome ||
            CASE
                WHEN (rtrim(last.message, (' '::text || chr(10))) <> ''::text) THEN (': '::text || substr(rtrim(last.message, (' '::text || chr(10))), (length(rtrim(rtrim(last.message, (' '::text || chr(10))), replace(rtrim(last.message, (' '::text || chr(10))), chr(10), ''::text))) + 1)))
                ELSE ''::text
            END), 'no attempt'::text))
            WHEN (each.lost_at IS NOT NULL) THEN ((((('2its pretraining '::text || lost.state) || ' at budget '::text) || (each.lost_at)::text) || ': '::text) || COALESCE((lost_last.outcome ||
            CASE
                WHEN (rtrim(lost_last.message, (' '::text || chr(10))) <> ''::text) THEN (': '::text || substr(rtrim(lost_last.message, (' '::text || chr(10))), (length(rtrim(rtrim(lost_last.message, (' '::text || chr(10))), replace(rtrim(lost_last.message, (' '::text || chr(10))), chr(10), ''::text))) + 1)))
                ELSE ''::text
            END), 'no attempt'::text))
            WHEN (each.state = 'running'::text) THEN ('3running on '::text || each.host)
            WHEN (each.waits = 1) THEN '4waits for its pretraining'::text
            WHEN (last.outcome IS NOT NULL) THEN ('5to be run again after '::text || COALESCE((last.outcome ||
            CASE
                WHEN (rtrim(last.message, (' '::text || chr(10))) <> ''::text) THEN (': '::text || substr(rtrim(last.message, (' '::text || chr(10))), (length(rtrim(rtrim(last.message, (' '::text || chr(10))), replace(rtrim(last.message, (' '::text || chr(10))), chr(10), ''::text))) + 1)))
                ELSE ''::text
            END), 'no attempt'::text))
            ELSE '6not started'::text
        END COLLATE "C")), 2) AS why,
    each.data_digest,
    each.recipe_id,
    each.sweep_id
   FROM (((( SELECT sweeps.name AS sweep,
            sweeps.id AS sweep_id,
            flow_trials.flow,
            flow_trials.dataset,
            flow_trials.variant,
            flow_trials.profile,
            flow_trials.recipe_id,
            flow_trials.factorization,
            sweep_trials.factorization AS asked,
            flow_trials.budget,
            flow_trials.map_options,
            flow_trials.pretraining_id,
            jobs.data_digest,
            jobs.attempt_id,
            jobs.host,
            COALESCE(jobs.state, 'pending'::text) AS state,
                CASE
                    WHEN ((jobs.state = 'pending'::text) AND (flow_trials.budget IS NOT NULL)) THEN ( SELECT min(segment.budget) AS min
                       FROM public.jobs segment
                      WHERE ((segment.pretraining_id = flow_trials.pretraining_id) AND (segment.data_digest = jobs.data_digest) AND (segment.budget <= flow_trials.budget) AND (segment.state = ANY (ARRAY['diverged'::text, 'failed'::text]))))
                    ELSE NULL::integer
                END AS lost_at,
                CASE
                    WHEN ((flow_trials.budget IS NOT NULL) AND (NOT (EXISTS ( SELECT 1
                       FROM public.jobs segment
                      WHERE ((segment.pretraining_id = flow_trials.pretraining_id) AND (segment.data_digest = jobs.data_digest) AND (segment.budget = flow_trials.budget) AND (segment.state = 'done'::text)))))) THEN 1
                    ELSE 0
                END AS waits
           FROM (((public.sweep_trials
             JOIN public.sweeps ON ((sweeps.id = sweep_trials.sweep_id)))
             JOIN public.flow_trials ON ((flow_trials.id = sweep_trials.trial_id)))
             LEFT JOIN public.jobs ON ((jobs.trial_id = flow_trials.id)))) each
     LEFT JOIN public.attempts last ON ((last.id = each.attempt_id)))
     LEFT JOIN public.jobs lost ON (((lost.pretraining_id = each.pretraining_id) AND (lost.budget = each.lost_at) AND (lost.data_digest = each.data_digest))))
     LEFT JOIN public.attempts lost_last ON ((lost_last.id = lost.attempt_id)))
  GROUP BY each.sweep, each.flow, each.dataset, each.variant, each.profile, each.asked, each.factorization, each.budget, each.map_options, each.data_digest, each.recipe_id, each.sweep_id;


--
-- Name: VIEW coverage; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.coverage IS 'What each cell of a sweep has and lacks. The counts from done to failed add up to planned.';


--
-- Name: COLUMN coverage.sweep; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.sweep IS 'name of the sweep';


--
-- Name: COLUMN coverage.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.flow IS 'name of the flow';


--
-- Name: COLUMN coverage.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.dataset IS 'name of the data set';


--
-- Name: COLUMN coverage.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.variant IS 'variant of the data set';


--
-- Name: COLUMN coverage.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.profile IS 'profile of the recipe';


--
-- Name: COLUMN coverage.asked; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.asked IS 'the factorization''s name as the sweep asked for it';


--
-- Name: COLUMN coverage.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.factorization IS 'canonical name of the factorization';


--
-- Name: COLUMN coverage.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.budget IS 'pretraining steps behind the maps, null where none is used';


--
-- Name: COLUMN coverage.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.map_options IS 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`';


--
-- Name: COLUMN coverage.planned; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.planned IS 'trials of the cell';


--
-- Name: COLUMN coverage.done; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.done IS 'those with a result';


--
-- Name: COLUMN coverage.running; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.running IS 'those that somebody has claimed';


--
-- Name: COLUMN coverage.pending; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.pending IS 'those that may start, now or when their pretraining is done';


--
-- Name: COLUMN coverage.blocked; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.blocked IS 'those whose pretraining diverged or failed on the way to their budget';


--
-- Name: COLUMN coverage.diverged; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.diverged IS 'those that diverged';


--
-- Name: COLUMN coverage.failed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.failed IS 'those that failed';


--
-- Name: COLUMN coverage.why; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.why IS 'why the first of the missing is missing, the gravest first: how it ended with the last line of the message, how its pretraining did, where it runs, that it waits for its pretraining, after which outcome it is to be run again, or that it was not started; null when nothing is missing';


--
-- Name: COLUMN coverage.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.data_digest IS 'content hash of the exact data set, null without a job';


--
-- Name: COLUMN coverage.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.recipe_id IS 'the recipe';


--
-- Name: COLUMN coverage.sweep_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.coverage.sweep_id IS 'the sweep';


--
-- Name: curves; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.curves (
    id integer NOT NULL,
    job_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: TABLE curves; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.curves IS 'What was measured while a job trained; the points are in metrics.';


--
-- Name: COLUMN curves.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curves.id IS 'running number';


--
-- Name: COLUMN curves.job_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curves.job_id IS 'the job';


--
-- Name: COLUMN curves.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.curves.name IS 'what is measured, such as ''train_bits_per_dim''';


--
-- Name: curves_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.curves_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: curves_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.curves_id_seq OWNED BY public.curves.id;


--
-- Name: data_sets; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.data_sets (
    digest text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    variant text NOT NULL COLLATE pg_catalog."C",
    height integer NOT NULL,
    width integer NOT NULL,
    channels integer NOT NULL,
    train integer NOT NULL,
    holdout integer NOT NULL,
    test integer NOT NULL,
    manifest text NOT NULL COLLATE pg_catalog."C",
    created double precision NOT NULL
);


--
-- Name: TABLE data_sets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.data_sets IS 'Prepared data sets, each known by its exact content.';


--
-- Name: COLUMN data_sets.digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_sets.digest IS 'content hash of all pixels, whatever file they came from';


--
-- Name: COLUMN data_sets.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_sets.name IS 'name of the data set, such as ''cifar10''';


--
-- Name: COLUMN data_sets.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_sets.variant IS 'variant of the pixels, such as ''u8''';


--
-- Name: COLUMN data_sets.height; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_sets.height IS 'height of an image in pixels';


--
-- Name: COLUMN data_sets.width; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_sets.width IS 'width of an image in pixels';


--
-- Name: COLUMN data_sets.channels; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_sets.channels IS 'number of channels';


--
-- Name: COLUMN data_sets.train; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_sets.train IS 'number of images to train on';


--
-- Name: COLUMN data_sets.holdout; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_sets.holdout IS 'number of images held out of training, for choices';


--
-- Name: COLUMN data_sets.test; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_sets.test IS 'number of images to report on';


--
-- Name: COLUMN data_sets.manifest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_sets.manifest IS 'manifest of the prepared set as JSON';


--
-- Name: COLUMN data_sets.created; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.data_sets.created IS 'when the row was added, Unix seconds UTC';


--
-- Name: dictionary; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.dictionary (
    relation text NOT NULL COLLATE pg_catalog."C",
    "position" integer NOT NULL,
    "column" text NOT NULL COLLATE pg_catalog."C",
    type text NOT NULL COLLATE pg_catalog."C",
    meaning text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: TABLE dictionary; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.dictionary IS 'What every view, table and column means, for whoever opens the database.';


--
-- Name: COLUMN dictionary.relation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.dictionary.relation IS 'a view or table';


--
-- Name: COLUMN dictionary."position"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.dictionary."position" IS 'place of the column, from 1; 0 for the view or table itself';


--
-- Name: COLUMN dictionary."column"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.dictionary."column" IS 'name of the column, empty for the view or table itself';


--
-- Name: COLUMN dictionary.type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.dictionary.type IS 'type of the column, or ''view'' or ''table''';


--
-- Name: COLUMN dictionary.meaning; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.dictionary.meaning IS 'what it is, with its unit';


--
-- Name: environments; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.environments (
    id text NOT NULL COLLATE pg_catalog."C",
    code_version text NOT NULL COLLATE pg_catalog."C",
    dirty text COLLATE pg_catalog."C",
    python text NOT NULL COLLATE pg_catalog."C",
    torch text NOT NULL COLLATE pg_catalog."C",
    platform text NOT NULL COLLATE pg_catalog."C",
    device text NOT NULL COLLATE pg_catalog."C",
    cpu_capability text NOT NULL COLLATE pg_catalog."C",
    packages text NOT NULL COLLATE pg_catalog."C",
    created double precision NOT NULL,
    driver text COLLATE pg_catalog."C",
    flags text COLLATE pg_catalog."C"
);


--
-- Name: TABLE environments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.environments IS 'Where code ran: versions and hardware.';


--
-- Name: COLUMN environments.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.environments.id IS 'content hash of the other columns but `created`';


--
-- Name: COLUMN environments.code_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.environments.code_version IS 'version of the package, with the commit where it is known';


--
-- Name: COLUMN environments.dirty; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.environments.dirty IS 'digest of uncommitted changes, null when there were none';


--
-- Name: COLUMN environments.python; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.environments.python IS 'version of Python';


--
-- Name: COLUMN environments.torch; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.environments.torch IS 'version of PyTorch, with its build';


--
-- Name: COLUMN environments.platform; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.environments.platform IS 'operating system and machine';


--
-- Name: COLUMN environments.device; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.environments.device IS 'model of the processor or GPU';


--
-- Name: COLUMN environments.cpu_capability; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.environments.cpu_capability IS 'instruction set that PyTorch uses, such as ''AVX512''';


--
-- Name: COLUMN environments.packages; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.environments.packages IS 'versions of the other packages as JSON';


--
-- Name: COLUMN environments.created; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.environments.created IS 'when the row was added, Unix seconds UTC';


--
-- Name: COLUMN environments.driver; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.environments.driver IS 'version of the GPU''s driver, null on a CPU and before schema 0005';


--
-- Name: COLUMN environments.flags; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.environments.flags IS 'settings that may change the last bits or the speed as JSON; null before schema 0005';


--
-- Name: events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.events (
    id integer NOT NULL,
    "time" double precision NOT NULL,
    event text NOT NULL COLLATE pg_catalog."C",
    job_id text COLLATE pg_catalog."C",
    attempt_id integer,
    owner text COLLATE pg_catalog."C",
    detail text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT ck_events_event CHECK ((event = ANY (ARRAY['done'::text, 'pruned'::text, 'diverged'::text, 'oom'::text, 'preempted'::text, 'node_lost'::text, 'timeout'::text, 'code_error'::text, 'cancelled'::text, 'claim'::text, 'retry'::text, 'register'::text, 'evaluate'::text, 'merge'::text])))
);


--
-- Name: TABLE events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.events IS 'What happened when: every transition of a job, and what was added at once.';


--
-- Name: COLUMN events.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.events.id IS 'running number';


--
-- Name: COLUMN events."time"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.events."time" IS 'when, Unix seconds UTC';


--
-- Name: COLUMN events.event; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.events.event IS 'a transition of a job (done, pruned, diverged, oom, preempted, node_lost, timeout, code_error, cancelled, claim, retry); or that a plan was registered (''register''), kept weights evaluated (''evaluate''), another database merged (''merge'')';


--
-- Name: COLUMN events.job_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.events.job_id IS 'the job, null where it is about none';


--
-- Name: COLUMN events.attempt_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.events.attempt_id IS 'the attempt, null where it is about none';


--
-- Name: COLUMN events.owner; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.events.owner IS 'launch or person, null where it is not known';


--
-- Name: COLUMN events.detail; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.events.detail IS 'what more there is to say, may be empty';


--
-- Name: events_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.events_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: events_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.events_id_seq OWNED BY public.events.id;


--
-- Name: pretrainings; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.pretrainings (
    id text NOT NULL COLLATE pg_catalog."C",
    recipe_id text NOT NULL COLLATE pg_catalog."C",
    flow text NOT NULL COLLATE pg_catalog."C",
    dataset text NOT NULL COLLATE pg_catalog."C",
    variant text NOT NULL COLLATE pg_catalog."C",
    seed integer NOT NULL,
    nms text DEFAULT 'squeezed'::text NOT NULL COLLATE pg_catalog."C"
);


--
-- Name: TABLE pretrainings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.pretrainings IS 'Runs of a flow with no splits, whose contribution maps serve the trials.';


--
-- Name: COLUMN pretrainings.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pretrainings.id IS 'content hash of recipe, data set, variant and seed';


--
-- Name: COLUMN pretrainings.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pretrainings.recipe_id IS 'its recipe';


--
-- Name: COLUMN pretrainings.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pretrainings.flow IS 'name of the flow';


--
-- Name: COLUMN pretrainings.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pretrainings.dataset IS 'name of the data set';


--
-- Name: COLUMN pretrainings.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pretrainings.variant IS 'variant of the data set';


--
-- Name: COLUMN pretrainings.seed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pretrainings.seed IS 'seed of everything random in the run';


--
-- Name: COLUMN pretrainings.nms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pretrainings.nms IS 'the flow without splits: ''squeezed'' between scales, or ''flat'' at full size throughout';


--
-- Name: failures; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.failures AS
 SELECT jobs.kind,
    COALESCE(flow_trials.flow, pretrainings.flow) AS flow,
    COALESCE(flow_trials.dataset, pretrainings.dataset) AS dataset,
    COALESCE(flow_trials.variant, pretrainings.variant) AS variant,
    COALESCE(flow_trials.profile, recipes.profile) AS profile,
    flow_trials.factorization,
    COALESCE(flow_trials.budget, jobs.budget) AS budget,
    flow_trials.map_options,
    COALESCE(flow_trials.seed, pretrainings.seed) AS seed,
    jobs.state,
    jobs.step,
    jobs.steps,
    attempts.outcome,
    attempts.message,
    attempts.owner,
    attempts.host,
    attempts.device,
    attempts.devices,
    attempts.started,
    attempts.ended,
    jobs.updated,
    jobs.data_digest,
    recipes.id AS recipe_id,
    jobs.trial_id,
    jobs.pretraining_id,
    jobs.attempt_id,
    jobs.id AS job_id
   FROM ((((public.jobs
     LEFT JOIN public.flow_trials ON ((flow_trials.id = jobs.trial_id)))
     LEFT JOIN public.pretrainings ON ((pretrainings.id = jobs.pretraining_id)))
     JOIN public.recipes ON ((recipes.id = COALESCE(flow_trials.recipe_id, pretrainings.recipe_id))))
     LEFT JOIN public.attempts ON ((attempts.id = jobs.attempt_id)))
  WHERE (jobs.state = ANY (ARRAY['diverged'::text, 'failed'::text]));


--
-- Name: VIEW failures; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.failures IS 'Jobs that diverged or failed, with their last attempt.';


--
-- Name: COLUMN failures.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.kind IS '''pretraining'' or ''trial''';


--
-- Name: COLUMN failures.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.flow IS 'name of the flow';


--
-- Name: COLUMN failures.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.dataset IS 'name of the data set';


--
-- Name: COLUMN failures.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.variant IS 'variant of the data set';


--
-- Name: COLUMN failures.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.profile IS 'profile of the recipe';


--
-- Name: COLUMN failures.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.factorization IS 'canonical name, null for a pretraining';


--
-- Name: COLUMN failures.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.budget IS 'pretraining steps behind a trial''s maps, null where none is used; or at the end of a pretraining''s segment';


--
-- Name: COLUMN failures.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.map_options IS 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`';


--
-- Name: COLUMN failures.seed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.seed IS 'seed of the trial or pretraining';


--
-- Name: COLUMN failures.state; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.state IS '''diverged'' or ''failed''';


--
-- Name: COLUMN failures.step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.step IS 'training step last reported';


--
-- Name: COLUMN failures.steps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.steps IS 'training step at which the job would be done';


--
-- Name: COLUMN failures.outcome; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.outcome IS 'how the last attempt ended';


--
-- Name: COLUMN failures.message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.message IS 'what went wrong, in a line or more';


--
-- Name: COLUMN failures.owner; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.owner IS 'launch that ran it';


--
-- Name: COLUMN failures.host; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.host IS 'machine it ran on';


--
-- Name: COLUMN failures.device; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.device IS 'device it ran on, such as ''cpu'' or ''cuda:0''';


--
-- Name: COLUMN failures.devices; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.devices IS 'devices granted to it, null on a CPU';


--
-- Name: COLUMN failures.started; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.started IS 'when it started, Unix seconds UTC';


--
-- Name: COLUMN failures.ended; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.ended IS 'when it ended, Unix seconds UTC';


--
-- Name: COLUMN failures.updated; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.updated IS 'when the job last changed, Unix seconds UTC';


--
-- Name: COLUMN failures.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.data_digest IS 'content hash of the exact data set';


--
-- Name: COLUMN failures.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.recipe_id IS 'the recipe';


--
-- Name: COLUMN failures.trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.trial_id IS 'the trial, null for a pretraining';


--
-- Name: COLUMN failures.pretraining_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.pretraining_id IS 'the pretraining, null for a trial';


--
-- Name: COLUMN failures.attempt_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.attempt_id IS 'the last attempt';


--
-- Name: COLUMN failures.job_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.failures.job_id IS 'the job';


--
-- Name: lcma_alembic_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lcma_alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: leaderboard; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.leaderboard AS
 SELECT cells.dataset,
    cells.variant,
    cells.flow,
    cells.profile,
    cells.protocol,
    cells."precision",
    rank() OVER near AS rank,
    cells.factorization,
    cells.budget,
    cells.map_options,
    cells.seeds AS n,
    cells.mean,
    cells.squared_deviations,
    (cells.mean - min(cells.mean) OVER near) AS from_best,
    recipes.conventional,
    (cells.mean - min(
        CASE
            WHEN (cells.factorization = recipes.conventional) THEN cells.mean
            ELSE NULL::double precision
        END) OVER near) AS from_conventional,
    recipes.splits,
    recipes.size,
    recipes.steps,
    cells.data_digest,
    cells.recipe_id,
    cells.comparable,
    cells.id AS cell_id
   FROM (public.cells
     JOIN public.recipes ON ((recipes.id = cells.recipe_id)))
  WINDOW near AS (PARTITION BY cells.recipe_id, cells.comparable, cells.data_digest, cells.flow, cells.dataset, cells.variant, cells.protocol, cells."precision" ORDER BY cells.mean ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING);


--
-- Name: VIEW leaderboard; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.leaderboard IS 'Cells ranked by mean bits per dimension within what can be compared and has one recipe. No WHERE changes a rank.';


--
-- Name: COLUMN leaderboard.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.dataset IS 'name of the data set';


--
-- Name: COLUMN leaderboard.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.variant IS 'variant of the data set';


--
-- Name: COLUMN leaderboard.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.flow IS 'name of the flow';


--
-- Name: COLUMN leaderboard.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.profile IS 'profile of the recipe';


--
-- Name: COLUMN leaderboard.protocol; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.protocol IS 'name of the evaluation protocol';


--
-- Name: COLUMN leaderboard."precision"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard."precision" IS 'number format of the evaluation';


--
-- Name: COLUMN leaderboard.rank; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.rank IS 'place by mean among the cells of the recipe that can be compared, from 1';


--
-- Name: COLUMN leaderboard.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.factorization IS 'canonical name of the factorization';


--
-- Name: COLUMN leaderboard.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.budget IS 'pretraining steps behind the maps, null where none is used';


--
-- Name: COLUMN leaderboard.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.map_options IS 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`';


--
-- Name: COLUMN leaderboard.n; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.n IS 'number of seeds';


--
-- Name: COLUMN leaderboard.mean; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.mean IS 'mean bits per dimension on the test part over seeds';


--
-- Name: COLUMN leaderboard.squared_deviations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.squared_deviations IS 'sum over seeds of squared deviations from mean';


--
-- Name: COLUMN leaderboard.from_best; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.from_best IS 'mean less the least mean there, at least 0';


--
-- Name: COLUMN leaderboard.conventional; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.conventional IS 'canonical name of the flow''s conventional factorization, null for an unknown flow';


--
-- Name: COLUMN leaderboard.from_conventional; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.from_conventional IS 'mean less that of the conventional factorization there, negative where it is better; null without one. Seeds are not paired: see pairs';


--
-- Name: COLUMN leaderboard.splits; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.splits IS 'number of splits of the flow';


--
-- Name: COLUMN leaderboard.size; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.size IS 'height and width of the images in pixels';


--
-- Name: COLUMN leaderboard.steps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.steps IS 'length of the training in optimizer steps';


--
-- Name: COLUMN leaderboard.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.data_digest IS 'content hash of the exact data set';


--
-- Name: COLUMN leaderboard.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.recipe_id IS 'the recipe';


--
-- Name: COLUMN leaderboard.comparable; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.comparable IS 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together';


--
-- Name: COLUMN leaderboard.cell_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.leaderboard.cell_id IS 'what the results are seeds of (cells.id)';


--
-- Name: map_statistics; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.map_statistics AS
 SELECT pretrainings.flow,
    pretrainings.dataset,
    pretrainings.variant,
    contribution_maps.data_digest,
    pretrainings.seed,
    pretrainings.nms,
    contribution_maps.budget,
    contribution_maps.score,
    contribution_maps.split,
    contribution_maps.mask_share,
    contribution_maps.mask_share_by_chance,
    contribution_maps.standard_error,
    contribution_maps.rank_gap,
    contribution_maps.error_to_gap,
    contribution_maps.unresolved,
    contribution_maps.tied,
    contribution_maps.mean_log_det,
    contribution_maps.sum_error,
    contribution_maps.images,
    contribution_maps.clusters,
    pretrainings.recipe_id,
    contribution_maps.pretraining_id,
    contribution_maps.digest
   FROM (public.contribution_maps
     JOIN public.pretrainings ON ((pretrainings.id = contribution_maps.pretraining_id)));


--
-- Name: VIEW map_statistics; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.map_statistics IS 'Contribution maps in numbers, without the arrays. See contribution_maps.';


--
-- Name: COLUMN map_statistics.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.flow IS 'name of the flow';


--
-- Name: COLUMN map_statistics.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.dataset IS 'name of the data set';


--
-- Name: COLUMN map_statistics.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.variant IS 'variant of the data set';


--
-- Name: COLUMN map_statistics.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.data_digest IS 'content hash of the exact data set';


--
-- Name: COLUMN map_statistics.seed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.seed IS 'seed of the pretraining';


--
-- Name: COLUMN map_statistics.nms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.nms IS 'the flow without splits: ''squeezed'' or ''flat''';


--
-- Name: COLUMN map_statistics.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.budget IS 'training step at which the map was taken';


--
-- Name: COLUMN map_statistics.score; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.score IS '''cumulative'', ''normalized'' or ''total''';


--
-- Name: COLUMN map_statistics.split; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.split IS 'split before which the map is taken, from 1';


--
-- Name: COLUMN map_statistics.mask_share; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.mask_share IS 'share of variance in windows that the lattice explains';


--
-- Name: COLUMN map_statistics.mask_share_by_chance; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.mask_share_by_chance IS 'what that is on average for a map with none';


--
-- Name: COLUMN map_statistics.standard_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.standard_error IS 'root mean square of the entries'' standard errors, nats';


--
-- Name: COLUMN map_statistics.rank_gap; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.rank_gap IS 'median gap between ranks two and three of a window, nats';


--
-- Name: COLUMN map_statistics.error_to_gap; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.error_to_gap IS 'standard_error / rank_gap';


--
-- Name: COLUMN map_statistics.unresolved; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.unresolved IS 'share of windows with a gap within two standard errors';


--
-- Name: COLUMN map_statistics.tied; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.tied IS 'share of windows in which ranks two and three are equal';


--
-- Name: COLUMN map_statistics.mean_log_det; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.mean_log_det IS 'scalar that the map sums to, nats per image';


--
-- Name: COLUMN map_statistics.sum_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.sum_error IS '|sum of the map - mean_log_det| / sum of |map|';


--
-- Name: COLUMN map_statistics.images; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.images IS 'number of images averaged over';


--
-- Name: COLUMN map_statistics.clusters; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.clusters IS 'clusters behind the standard errors, null for none';


--
-- Name: COLUMN map_statistics.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.recipe_id IS 'recipe of the pretraining';


--
-- Name: COLUMN map_statistics.pretraining_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.pretraining_id IS 'the pretraining';


--
-- Name: COLUMN map_statistics.digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.map_statistics.digest IS 'sha256 of the map''s values';


--
-- Name: metrics; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.metrics (
    curve_id integer NOT NULL,
    step integer NOT NULL,
    value double precision
);


--
-- Name: TABLE metrics; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.metrics IS 'Points of curves over training.';


--
-- Name: COLUMN metrics.curve_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metrics.curve_id IS 'the curve (curves.id)';


--
-- Name: COLUMN metrics.step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metrics.step IS 'training step';


--
-- Name: COLUMN metrics.value; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metrics.value IS 'the value, null for one that is not a number';


--
-- Name: pairs; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.pairs AS
 SELECT one.dataset,
    one.variant,
    one.flow,
    one.profile,
    one.protocol,
    one."precision",
    own.seed,
    one.factorization,
    one.budget,
    one.map_options,
    own.bits_per_dim,
    other.factorization AS other_factorization,
    other.budget AS other_budget,
    other.map_options AS other_map_options,
    their.bits_per_dim AS other_bits_per_dim,
    (own.bits_per_dim - their.bits_per_dim) AS difference,
    one.data_digest,
    one.recipe_id,
    one.comparable,
    one.id AS cell_id,
    other.id AS other_cell_id,
    own.trial_id,
    their.trial_id AS other_trial_id,
    own.id AS result_id,
    their.id AS other_result_id
   FROM (((public.cells one
     JOIN public.cells other ON (((other.comparable = one.comparable) AND (other.recipe_id = one.recipe_id) AND (other.factorization <> one.factorization) AND ((one.budget IS NULL) OR (other.budget IS NULL) OR ((other.budget = one.budget) AND (COALESCE(other.map_options, ''::text) = COALESCE(one.map_options, ''::text)))))))
     JOIN public.results own ON ((own.cell_id = one.id)))
     JOIN public.results their ON (((their.cell_id = other.id) AND (their.seed = own.seed))));


--
-- Name: VIEW pairs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.pairs IS 'Results that differ in the factorization alone, paired by seed: one recipe, data set, protocol and precision; budget and options of the map too, where both use maps. Each pair is there both ways round.';


--
-- Name: COLUMN pairs.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.dataset IS 'name of the data set';


--
-- Name: COLUMN pairs.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.variant IS 'variant of the data set';


--
-- Name: COLUMN pairs.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.flow IS 'name of the flow';


--
-- Name: COLUMN pairs.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.profile IS 'profile of the recipe';


--
-- Name: COLUMN pairs.protocol; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.protocol IS 'name of the evaluation protocol';


--
-- Name: COLUMN pairs."precision"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs."precision" IS 'number format of the evaluation';


--
-- Name: COLUMN pairs.seed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.seed IS 'seed of both trials';


--
-- Name: COLUMN pairs.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.factorization IS 'canonical name of the factorization';


--
-- Name: COLUMN pairs.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.budget IS 'pretraining steps behind the maps, null where none is used';


--
-- Name: COLUMN pairs.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.map_options IS 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`';


--
-- Name: COLUMN pairs.bits_per_dim; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.bits_per_dim IS 'bits per dimension on the test part';


--
-- Name: COLUMN pairs.other_factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.other_factorization IS 'canonical name of the other factorization';


--
-- Name: COLUMN pairs.other_budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.other_budget IS 'the other trial''s budget, null where it uses no map';


--
-- Name: COLUMN pairs.other_map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.other_map_options IS 'the other trial''s options of the map';


--
-- Name: COLUMN pairs.other_bits_per_dim; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.other_bits_per_dim IS 'the other trial''s bits per dimension';


--
-- Name: COLUMN pairs.difference; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.difference IS 'bits_per_dim - other_bits_per_dim, negative where the other has more';


--
-- Name: COLUMN pairs.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.data_digest IS 'content hash of the exact data set';


--
-- Name: COLUMN pairs.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.recipe_id IS 'the recipe';


--
-- Name: COLUMN pairs.comparable; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.comparable IS 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together';


--
-- Name: COLUMN pairs.cell_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.cell_id IS 'what the results are seeds of (cells.id)';


--
-- Name: COLUMN pairs.other_cell_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.other_cell_id IS 'cell of the other result';


--
-- Name: COLUMN pairs.trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.trial_id IS 'the trial';


--
-- Name: COLUMN pairs.other_trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.other_trial_id IS 'the other trial';


--
-- Name: COLUMN pairs.result_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.result_id IS 'the result';


--
-- Name: COLUMN pairs.other_result_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.pairs.other_result_id IS 'the other result';


--
-- Name: seed_statistics; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.seed_statistics AS
 SELECT cells.dataset,
    cells.variant,
    cells.flow,
    cells.profile,
    cells.protocol,
    cells."precision",
    cells.factorization,
    cells.budget,
    cells.map_options,
    cells.seeds AS n,
    cells.mean,
    cells.squared_deviations,
    cells."least",
    cells."greatest",
    cells.holdout_mean,
    cells.holdout_squared_deviations,
    recipes.splits,
    recipes.size,
    recipes.steps,
    cells.data_digest,
    cells.recipe_id,
    cells.comparable,
    cells.id AS cell_id
   FROM (public.cells
     JOIN public.recipes ON ((recipes.id = cells.recipe_id)));


--
-- Name: VIEW seed_statistics; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.seed_statistics IS 'Results over seeds: a row for each cell, which is all that results share but the seed. The sample variance is squared_deviations / (n - 1).';


--
-- Name: COLUMN seed_statistics.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.dataset IS 'name of the data set';


--
-- Name: COLUMN seed_statistics.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.variant IS 'variant of the data set';


--
-- Name: COLUMN seed_statistics.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.flow IS 'name of the flow';


--
-- Name: COLUMN seed_statistics.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.profile IS 'profile of the recipe';


--
-- Name: COLUMN seed_statistics.protocol; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.protocol IS 'name of the evaluation protocol';


--
-- Name: COLUMN seed_statistics."precision"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics."precision" IS 'number format of the evaluation';


--
-- Name: COLUMN seed_statistics.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.factorization IS 'canonical name of the factorization';


--
-- Name: COLUMN seed_statistics.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.budget IS 'pretraining steps behind the maps, null where none is used';


--
-- Name: COLUMN seed_statistics.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.map_options IS 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`';


--
-- Name: COLUMN seed_statistics.n; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.n IS 'number of seeds';


--
-- Name: COLUMN seed_statistics.mean; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.mean IS 'mean bits per dimension on the test part over seeds';


--
-- Name: COLUMN seed_statistics.squared_deviations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.squared_deviations IS 'sum over seeds of squared deviations from mean';


--
-- Name: COLUMN seed_statistics."least"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics."least" IS 'bits per dimension of the best seed';


--
-- Name: COLUMN seed_statistics."greatest"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics."greatest" IS 'bits per dimension of the worst seed';


--
-- Name: COLUMN seed_statistics.holdout_mean; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.holdout_mean IS 'mean bits per dimension on the holdout part over seeds';


--
-- Name: COLUMN seed_statistics.holdout_squared_deviations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.holdout_squared_deviations IS 'sum over seeds of squared deviations from holdout_mean';


--
-- Name: COLUMN seed_statistics.splits; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.splits IS 'number of splits of the flow';


--
-- Name: COLUMN seed_statistics.size; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.size IS 'height and width of the images in pixels';


--
-- Name: COLUMN seed_statistics.steps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.steps IS 'length of the training in optimizer steps';


--
-- Name: COLUMN seed_statistics.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.data_digest IS 'content hash of the exact data set';


--
-- Name: COLUMN seed_statistics.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.recipe_id IS 'the recipe';


--
-- Name: COLUMN seed_statistics.comparable; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.comparable IS 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together';


--
-- Name: COLUMN seed_statistics.cell_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seed_statistics.cell_id IS 'what the results are seeds of (cells.id)';


--
-- Name: snapshots; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.snapshots AS
 SELECT pretrainings.flow,
    pretrainings.dataset,
    pretrainings.variant,
    pretrainings.seed,
    pretrainings.nms,
    jobs.budget,
    jobs.state,
    jobs.step,
    ( SELECT count(*) AS count
           FROM public.attempts a
          WHERE (a.job_id = jobs.id)) AS attempts,
    ( SELECT ((sum((trunc(((a.seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
           FROM public.attempts a
          WHERE ((a.job_id = jobs.id) AND (a.protocol IS NULL))) AS seconds,
    ( SELECT ((sum((trunc(((a.cpu_seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
           FROM public.attempts a
          WHERE ((a.job_id = jobs.id) AND (a.protocol IS NULL))) AS cpu_seconds,
    ( SELECT ((sum((trunc(((a.gpu_seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
           FROM public.attempts a
          WHERE ((a.job_id = jobs.id) AND (a.protocol IS NULL))) AS gpu_seconds,
    ( SELECT ((sum((trunc(((a.seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
           FROM (public.jobs segment
             JOIN public.attempts a ON ((a.job_id = segment.id)))
          WHERE ((segment.pretraining_id = jobs.pretraining_id) AND (segment.data_digest = jobs.data_digest) AND (segment.budget <= jobs.budget) AND (a.protocol IS NULL))) AS total_seconds,
    ( SELECT count(*) AS count
           FROM public.contribution_maps map
          WHERE ((map.pretraining_id = jobs.pretraining_id) AND (map.data_digest = jobs.data_digest) AND (map.budget = jobs.budget))) AS maps,
    kept.place,
    kept.path,
    kept.bytes,
    kept.digest,
    jobs.data_digest,
    pretrainings.recipe_id,
    jobs.pretraining_id,
    jobs.id AS job_id
   FROM ((public.jobs
     JOIN public.pretrainings ON ((pretrainings.id = jobs.pretraining_id)))
     LEFT JOIN public.artifacts kept ON (((kept.job_id = jobs.id) AND (kept.kind = 'checkpoint'::text))));


--
-- Name: VIEW snapshots; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.snapshots IS 'Pretrainings, segment by segment: how far, how long, and what is there.';


--
-- Name: COLUMN snapshots.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.flow IS 'name of the flow';


--
-- Name: COLUMN snapshots.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.dataset IS 'name of the data set';


--
-- Name: COLUMN snapshots.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.variant IS 'variant of the data set';


--
-- Name: COLUMN snapshots.seed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.seed IS 'seed of the pretraining';


--
-- Name: COLUMN snapshots.nms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.nms IS 'the flow without splits: ''squeezed'' or ''flat''';


--
-- Name: COLUMN snapshots.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.budget IS 'training step at which the segment ends';


--
-- Name: COLUMN snapshots.state; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.state IS '''pending'', ''running'', ''done'', ''diverged'' or ''failed''';


--
-- Name: COLUMN snapshots.step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.step IS 'training step last reported';


--
-- Name: COLUMN snapshots.attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.attempts IS 'attempts at the segment';


--
-- Name: COLUMN snapshots.seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.seconds IS 'wall-clock seconds of the segment, lost attempts too';


--
-- Name: COLUMN snapshots.cpu_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.cpu_seconds IS 'CPU seconds of the segment';


--
-- Name: COLUMN snapshots.gpu_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.gpu_seconds IS 'GPU seconds of the segment, null on a CPU';


--
-- Name: COLUMN snapshots.total_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.total_seconds IS 'wall-clock seconds of all segments up to this budget';


--
-- Name: COLUMN snapshots.maps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.maps IS 'contribution maps taken at this budget';


--
-- Name: COLUMN snapshots.place; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.place IS 'where its checkpoint is, as HOST:FOLDER; null if none is kept';


--
-- Name: COLUMN snapshots.path; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.path IS 'the checkpoint''s path in that folder';


--
-- Name: COLUMN snapshots.bytes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.bytes IS 'the checkpoint''s length';


--
-- Name: COLUMN snapshots.digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.digest IS 'sha256 of the checkpoint';


--
-- Name: COLUMN snapshots.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.data_digest IS 'content hash of the exact data set';


--
-- Name: COLUMN snapshots.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.recipe_id IS 'the recipe';


--
-- Name: COLUMN snapshots.pretraining_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.pretraining_id IS 'the pretraining';


--
-- Name: COLUMN snapshots.job_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.snapshots.job_id IS 'the segment''s job';


--
-- Name: stale_leases; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.stale_leases AS
 SELECT jobs.kind,
    COALESCE(flow_trials.flow, pretrainings.flow) AS flow,
    COALESCE(flow_trials.dataset, pretrainings.dataset) AS dataset,
    COALESCE(flow_trials.variant, pretrainings.variant) AS variant,
    COALESCE(flow_trials.profile, recipes.profile) AS profile,
    flow_trials.factorization,
    COALESCE(flow_trials.budget, jobs.budget) AS budget,
    flow_trials.map_options,
    COALESCE(flow_trials.seed, pretrainings.seed) AS seed,
    jobs.step,
    jobs.steps,
    jobs.owner,
    jobs.host,
    jobs.pid,
    jobs.token,
    attempts.started,
    jobs.lease_until,
    ((EXTRACT(epoch FROM clock_timestamp()))::double precision - jobs.lease_until) AS overdue,
    jobs.data_digest,
    recipes.id AS recipe_id,
    jobs.trial_id,
    jobs.pretraining_id,
    jobs.attempt_id,
    jobs.id AS job_id
   FROM ((((public.jobs
     LEFT JOIN public.flow_trials ON ((flow_trials.id = jobs.trial_id)))
     LEFT JOIN public.pretrainings ON ((pretrainings.id = jobs.pretraining_id)))
     JOIN public.recipes ON ((recipes.id = COALESCE(flow_trials.recipe_id, pretrainings.recipe_id))))
     LEFT JOIN public.attempts ON ((attempts.id = jobs.attempt_id)))
  WHERE ((jobs.state = 'running'::text) AND (jobs.lease_until <= (EXTRACT(epoch FROM clock_timestamp()))::double precision));


--
-- Name: VIEW stale_leases; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.stale_leases IS 'Running jobs whose lease is over: whoever claims one next has it.';


--
-- Name: COLUMN stale_leases.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.kind IS '''pretraining'' or ''trial''';


--
-- Name: COLUMN stale_leases.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.flow IS 'name of the flow';


--
-- Name: COLUMN stale_leases.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.dataset IS 'name of the data set';


--
-- Name: COLUMN stale_leases.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.variant IS 'variant of the data set';


--
-- Name: COLUMN stale_leases.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.profile IS 'profile of the recipe';


--
-- Name: COLUMN stale_leases.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.factorization IS 'canonical name, null for a pretraining';


--
-- Name: COLUMN stale_leases.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.budget IS 'pretraining steps behind a trial''s maps, null where none is used; or at the end of a pretraining''s segment';


--
-- Name: COLUMN stale_leases.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.map_options IS 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`';


--
-- Name: COLUMN stale_leases.seed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.seed IS 'seed of the trial or pretraining';


--
-- Name: COLUMN stale_leases.step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.step IS 'training step last reported';


--
-- Name: COLUMN stale_leases.steps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.steps IS 'training step at which the job is done';


--
-- Name: COLUMN stale_leases.owner; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.owner IS 'launch that holds the job';


--
-- Name: COLUMN stale_leases.host; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.host IS 'machine it runs on';


--
-- Name: COLUMN stale_leases.pid; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.pid IS 'process it runs in';


--
-- Name: COLUMN stale_leases.token; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.token IS 'number of attempts so far';


--
-- Name: COLUMN stale_leases.started; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.started IS 'when the attempt started, Unix seconds UTC';


--
-- Name: COLUMN stale_leases.lease_until; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.lease_until IS 'when the lease ended, Unix seconds UTC';


--
-- Name: COLUMN stale_leases.overdue; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.overdue IS 'seconds since then by the database''s clock';


--
-- Name: COLUMN stale_leases.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.data_digest IS 'content hash of the exact data set';


--
-- Name: COLUMN stale_leases.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.recipe_id IS 'the recipe';


--
-- Name: COLUMN stale_leases.trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.trial_id IS 'the trial, null for a pretraining';


--
-- Name: COLUMN stale_leases.pretraining_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.pretraining_id IS 'the pretraining, null for a trial';


--
-- Name: COLUMN stale_leases.attempt_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.attempt_id IS 'the last attempt';


--
-- Name: COLUMN stale_leases.job_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.stale_leases.job_id IS 'the job';


--
-- Name: table_overlaps; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.table_overlaps (
    trial_id text NOT NULL COLLATE pg_catalog."C",
    other_trial_id text NOT NULL COLLATE pg_catalog."C",
    data_digest text NOT NULL COLLATE pg_catalog."C",
    split integer NOT NULL,
    differs text NOT NULL COLLATE pg_catalog."C",
    iou double precision NOT NULL,
    CONSTRAINT ck_table_overlaps_differs CHECK ((differs = ANY (ARRAY['seed'::text, 'budget'::text])))
);


--
-- Name: TABLE table_overlaps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.table_overlaps IS 'Overlaps of the tables of trials that differ in seed or budget alone, both ways.';


--
-- Name: COLUMN table_overlaps.trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_overlaps.trial_id IS 'a trial';


--
-- Name: COLUMN table_overlaps.other_trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_overlaps.other_trial_id IS 'another one';


--
-- Name: COLUMN table_overlaps.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_overlaps.data_digest IS 'the exact data set';


--
-- Name: COLUMN table_overlaps.split; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_overlaps.split IS 'the split, from 1';


--
-- Name: COLUMN table_overlaps.differs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_overlaps.differs IS 'in what the two trials differ: ''seed'' or ''budget''';


--
-- Name: COLUMN table_overlaps.iou; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_overlaps.iou IS 'overlap (intersection over union) of the dimensions that are there after the split';


--
-- Name: table_statistics; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.table_statistics AS
 SELECT flow_trials.flow,
    flow_trials.profile,
    flow_trials.dataset,
    flow_trials.variant,
    index_tables.data_digest,
    flow_trials.factorization,
    flow_trials.budget,
    flow_trials.map_options,
    flow_trials.seed,
    index_tables.split,
    index_tables.iou_even,
    index_tables.iou_odd,
    index_tables.purity,
    index_tables.channel_purity,
    index_tables.mask_share,
    index_tables.mask_share_by_chance,
    index_tables.tied,
    index_tables.agreement,
    ( SELECT (((sum((trunc(((other.iou * ('1000000000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000000000'::numeric)::double precision) / (count(other.iou))::double precision)
           FROM public.table_overlaps other
          WHERE ((other.trial_id = index_tables.trial_id) AND (other.data_digest = index_tables.data_digest) AND (other.split = index_tables.split) AND (other.differs = 'seed'::text))) AS iou_other_seeds,
    ( SELECT (((sum((trunc(((other.iou * ('1000000000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000000000'::numeric)::double precision) / (count(other.iou))::double precision)
           FROM public.table_overlaps other
          WHERE ((other.trial_id = index_tables.trial_id) AND (other.data_digest = index_tables.data_digest) AND (other.split = index_tables.split) AND (other.differs = 'budget'::text))) AS iou_other_budgets,
    flow_trials.recipe_id,
    index_tables.trial_id,
    index_tables.digest
   FROM (public.index_tables
     JOIN public.flow_trials ON ((flow_trials.id = index_tables.trial_id)));


--
-- Name: VIEW table_statistics; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.table_statistics IS 'Index tables in numbers, with how far seeds and budgets agree. See index_tables.';


--
-- Name: COLUMN table_statistics.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.flow IS 'name of the flow';


--
-- Name: COLUMN table_statistics.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.profile IS 'profile of the recipe';


--
-- Name: COLUMN table_statistics.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.dataset IS 'name of the data set';


--
-- Name: COLUMN table_statistics.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.variant IS 'variant of the data set';


--
-- Name: COLUMN table_statistics.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.data_digest IS 'content hash of the exact data set';


--
-- Name: COLUMN table_statistics.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.factorization IS 'canonical name of the factorization';


--
-- Name: COLUMN table_statistics.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.budget IS 'pretraining steps behind the maps, null where none is used';


--
-- Name: COLUMN table_statistics.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.map_options IS 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`';


--
-- Name: COLUMN table_statistics.seed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.seed IS 'seed of the trial';


--
-- Name: COLUMN table_statistics.split; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.split IS 'the split, from 1';


--
-- Name: COLUMN table_statistics.iou_even; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.iou_even IS 'overlap of what stays with checkerboard-even; 1/3 by chance';


--
-- Name: COLUMN table_statistics.iou_odd; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.iou_odd IS 'overlap of what stays with checkerboard-odd; 1/3 by chance';


--
-- Name: COLUMN table_statistics.purity; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.purity IS 'share of windows with the most common pattern';


--
-- Name: COLUMN table_statistics.channel_purity; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.channel_purity IS 'the same for each channel apart, averaged';


--
-- Name: COLUMN table_statistics.mask_share; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.mask_share IS 'share of the map''s variance that the lattice explains';


--
-- Name: COLUMN table_statistics.mask_share_by_chance; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.mask_share_by_chance IS 'what that is on average for a map with none';


--
-- Name: COLUMN table_statistics.tied; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.tied IS 'share of windows in which ranks two and three are equal';


--
-- Name: COLUMN table_statistics.agreement; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.agreement IS 'overlap between the tables of two halves of the data';


--
-- Name: COLUMN table_statistics.iou_other_seeds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.iou_other_seeds IS 'mean overlap with the tables of other seeds, null for none';


--
-- Name: COLUMN table_statistics.iou_other_budgets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.iou_other_budgets IS 'mean overlap with the tables of other budgets, null for none';


--
-- Name: COLUMN table_statistics.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.recipe_id IS 'recipe of the trial';


--
-- Name: COLUMN table_statistics.trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.trial_id IS 'the trial';


--
-- Name: COLUMN table_statistics.digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.table_statistics.digest IS 'sha256 of the split''s permutation';


--
-- Name: trial_results; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.trial_results AS
 SELECT flow_trials.flow,
    flow_trials.profile,
    flow_trials.dataset,
    flow_trials.variant,
    results.data_digest,
    flow_trials.factorization,
    flow_trials.budget,
    flow_trials.seed,
    results.protocol,
    results."precision",
    results.bits_per_dim,
    results.standard_error,
    results.holdout_bits_per_dim,
    results.holdout_standard_error,
    results.train_bits_per_dim,
    results.log_det,
    results.log_prior,
    results.images,
    results.clusters,
    results.bound_draws,
    results.bound_images,
    results.bound_bits_per_dim,
    results.bound_gain,
    results.series_terms,
    results.series_bias,
    results.series_bias_standard_error,
    recipes.splits,
    recipes.size,
    results.step,
    recipes.steps,
    attempts.images_per_second,
    ( SELECT max(a.data_wait) AS max
           FROM public.attempts a
          WHERE ((a.job_id = attempts.job_id) AND (a.protocol IS NULL))) AS data_wait,
    ( SELECT ((sum((trunc(((a.seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
           FROM public.attempts a
          WHERE ((a.job_id = attempts.job_id) AND (a.protocol IS NULL))) AS seconds,
    ( SELECT ((sum((trunc(((a.cpu_seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
           FROM public.attempts a
          WHERE ((a.job_id = attempts.job_id) AND (a.protocol IS NULL))) AS cpu_seconds,
    ( SELECT ((sum((trunc(((a.gpu_seconds * ('1000000'::numeric)::double precision) + (0.5)::double precision)))::bigint))::double precision / ('1000000'::numeric)::double precision)
           FROM public.attempts a
          WHERE ((a.job_id = attempts.job_id) AND (a.protocol IS NULL))) AS gpu_seconds,
        CASE
            WHEN (attempts.protocol IS NOT NULL) THEN attempts.seconds
            ELSE NULL::double precision
        END AS evaluation_seconds,
    attempts.peak_memory,
    attempts.threads,
    environments.device,
    environments.cpu_capability,
    environments.driver,
    environments.torch,
    environments.code_version,
    environments.dirty,
    results.created,
    flow_trials.map_options,
    cells.comparable,
    results.trial_id,
    flow_trials.recipe_id,
    flow_trials.pretraining_id,
    attempts.environment_id,
    results.cell_id,
    results.id AS result_id
   FROM (((((public.results
     JOIN public.flow_trials ON ((flow_trials.id = results.trial_id)))
     JOIN public.recipes ON ((recipes.id = flow_trials.recipe_id)))
     JOIN public.attempts ON ((attempts.id = results.attempt_id)))
     JOIN public.environments ON ((environments.id = attempts.environment_id)))
     JOIN public.cells ON ((cells.id = results.cell_id)));


--
-- Name: VIEW trial_results; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.trial_results IS 'One readable row for each result.';


--
-- Name: COLUMN trial_results.flow; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.flow IS 'name of the flow';


--
-- Name: COLUMN trial_results.profile; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.profile IS 'profile of the recipe';


--
-- Name: COLUMN trial_results.dataset; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.dataset IS 'name of the data set';


--
-- Name: COLUMN trial_results.variant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.variant IS 'variant of the data set';


--
-- Name: COLUMN trial_results.data_digest; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.data_digest IS 'content hash of the exact data set';


--
-- Name: COLUMN trial_results.factorization; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.factorization IS 'canonical name of the factorization';


--
-- Name: COLUMN trial_results.budget; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.budget IS 'pretraining steps behind the maps, null where none is used';


--
-- Name: COLUMN trial_results.seed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.seed IS 'seed of the trial';


--
-- Name: COLUMN trial_results.protocol; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.protocol IS 'name of the evaluation protocol';


--
-- Name: COLUMN trial_results."precision"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results."precision" IS 'number format of the evaluation';


--
-- Name: COLUMN trial_results.bits_per_dim; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.bits_per_dim IS 'bits per dimension on the test part';


--
-- Name: COLUMN trial_results.standard_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.standard_error IS 'standard error of bits_per_dim over images or clusters, null for a single one';


--
-- Name: COLUMN trial_results.holdout_bits_per_dim; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.holdout_bits_per_dim IS 'bits per dimension on the holdout part';


--
-- Name: COLUMN trial_results.holdout_standard_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.holdout_standard_error IS 'standard error of holdout_bits_per_dim, null for a single image or cluster';


--
-- Name: COLUMN trial_results.train_bits_per_dim; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.train_bits_per_dim IS 'bits per dimension on train, null when not taken';


--
-- Name: COLUMN trial_results.log_det; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.log_det IS 'mean log-det on the test part, nats per image';


--
-- Name: COLUMN trial_results.log_prior; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.log_prior IS 'mean log-density of the latents there, nats per image';


--
-- Name: COLUMN trial_results.images; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.images IS 'number of test images';


--
-- Name: COLUMN trial_results.clusters; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.clusters IS 'clusters behind the standard errors, null for none';


--
-- Name: COLUMN trial_results.bound_draws; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.bound_draws IS 'K, dequantization draws of the importance-weighted bound; null when not taken';


--
-- Name: COLUMN trial_results.bound_images; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.bound_images IS 'first test images that the bound is over; null when not taken';


--
-- Name: COLUMN trial_results.bound_bits_per_dim; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.bound_bits_per_dim IS 'bits per dimension of -log of the mean likelihood over K draws, on those images; null when not taken';


--
-- Name: COLUMN trial_results.bound_gain; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.bound_gain IS 'by how much that is below the bits per dimension of one draw on the same images; null when not taken';


--
-- Name: COLUMN trial_results.series_terms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.series_terms IS 'exact terms of the power series of residual blocks; null for a flow without them';


--
-- Name: COLUMN trial_results.series_bias; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.series_bias IS 'bits per dimension less those at twice as many terms with the same probes, on the first 200 test images; null without a series, and where roulette leaves no bias';


--
-- Name: COLUMN trial_results.series_bias_standard_error; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.series_bias_standard_error IS 'standard error of series_bias over images or clusters, null with it or for one image';


--
-- Name: COLUMN trial_results.splits; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.splits IS 'number of splits of the flow';


--
-- Name: COLUMN trial_results.size; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.size IS 'height and width of the images in pixels';


--
-- Name: COLUMN trial_results.step; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.step IS 'training step of the evaluated weights';


--
-- Name: COLUMN trial_results.steps; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.steps IS 'length of the training in optimizer steps';


--
-- Name: COLUMN trial_results.images_per_second; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.images_per_second IS 'training images per second of the attempt that made the result, null if it only evaluated';


--
-- Name: COLUMN trial_results.data_wait; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.data_wait IS 'share of the time of training steps that attempts at the trial waited for images: the largest of them, 0 to 1; null when not measured';


--
-- Name: COLUMN trial_results.seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.seconds IS 'wall-clock seconds of all attempts at the trial, without pretraining and evaluations';


--
-- Name: COLUMN trial_results.cpu_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.cpu_seconds IS 'CPU seconds of the same attempts';


--
-- Name: COLUMN trial_results.gpu_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.gpu_seconds IS 'GPU seconds of the same attempts, null on a CPU';


--
-- Name: COLUMN trial_results.evaluation_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.evaluation_seconds IS 'wall-clock seconds of the attempt that made the result, null if it trained too';


--
-- Name: COLUMN trial_results.peak_memory; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.peak_memory IS 'peak memory in bytes of that attempt';


--
-- Name: COLUMN trial_results.threads; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.threads IS 'number of CPU threads of that attempt';


--
-- Name: COLUMN trial_results.device; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.device IS 'model of the processor or GPU of that attempt';


--
-- Name: COLUMN trial_results.cpu_capability; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.cpu_capability IS 'instruction set that PyTorch used';


--
-- Name: COLUMN trial_results.driver; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.driver IS 'version of the GPU''s driver, null on a CPU and before schema 0005';


--
-- Name: COLUMN trial_results.torch; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.torch IS 'version of PyTorch';


--
-- Name: COLUMN trial_results.code_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.code_version IS 'version of the package';


--
-- Name: COLUMN trial_results.dirty; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.dirty IS 'digest of uncommitted changes, null when there were none';


--
-- Name: COLUMN trial_results.created; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.created IS 'when the result was added, Unix seconds UTC';


--
-- Name: COLUMN trial_results.map_options; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.map_options IS 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`';


--
-- Name: COLUMN trial_results.comparable; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.comparable IS 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together';


--
-- Name: COLUMN trial_results.trial_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.trial_id IS 'the trial';


--
-- Name: COLUMN trial_results.recipe_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.recipe_id IS 'the recipe';


--
-- Name: COLUMN trial_results.pretraining_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.pretraining_id IS 'pretraining whose maps are used, null where no map is';


--
-- Name: COLUMN trial_results.environment_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.environment_id IS 'versions and hardware of that attempt';


--
-- Name: COLUMN trial_results.cell_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.cell_id IS 'what the results are seeds of (cells.id)';


--
-- Name: COLUMN trial_results.result_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.trial_results.result_id IS 'the result';


--
-- Name: artifacts id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.artifacts ALTER COLUMN id SET DEFAULT nextval('public.artifacts_id_seq'::regclass);


--
-- Name: attempts id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts ALTER COLUMN id SET DEFAULT nextval('public.attempts_id_seq'::regclass);


--
-- Name: contribution_maps id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contribution_maps ALTER COLUMN id SET DEFAULT nextval('public.contribution_maps_id_seq'::regclass);


--
-- Name: curves id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curves ALTER COLUMN id SET DEFAULT nextval('public.curves_id_seq'::regclass);


--
-- Name: events id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events ALTER COLUMN id SET DEFAULT nextval('public.events_id_seq'::regclass);


--
-- Data for Name: artifacts; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.artifacts VALUES (1, '4020cba4d4652c65c0ddbd76cd4dfc1d74993f0bb4d95b7aef1c175bd8d8a30d', 'checkpoint', 'läufe/checkpoint.pt', 4294967301, '47320987f9a49d5b00119b960f247a956773f57543982b8bfcb6da5bb3afd9ef', 1767225673.95, 'knoten-ä:/data/runs');
INSERT INTO public.artifacts VALUES (2, '6e41df76e58b4f5986db9ad6628edf20f0e3be8ef3d324248a4cffbd7d6fb377', 'checkpoint', 'läufe/checkpoint.pt', 4294967301, '47320987f9a49d5b00119b960f247a956773f57543982b8bfcb6da5bb3afd9ef', 1767225745.65, 'knoten-ä:/data/runs');
INSERT INTO public.artifacts VALUES (3, '520b07f8db538eed91e7b76ea89445497bfb980a82b0e12ebe1ed02f7059ebb0', 'weights', 'läufe/weights.pt', 4294967301, '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 1767225904.0500002, 'knoten-ä:/data/runs');
INSERT INTO public.artifacts VALUES (4, '33371d6f0649b83b88b39a21cc848e53627a737014eae783aea053ae5c6e113a', 'weights', 'läufe/weights.pt', 4294967301, '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 1767225975.7500002, 'knoten-ä:/data/runs');
INSERT INTO public.artifacts VALUES (5, 'c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 'weights', 'läufe/weights.pt', 4294967301, '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 1767226047.4500003, 'knoten-ä:/data/runs');
INSERT INTO public.artifacts VALUES (6, '4e3628453168b3c176a1a05e93fb5d871a5344b108b0d5815d2521dfd253f848', 'weights', 'läufe/weights.pt', 4294967301, '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 1767226119.1500003, 'knoten-ä:/data/runs');
INSERT INTO public.artifacts VALUES (7, 'fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 'weights', 'läufe/weights.pt', 4294967301, '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 1767226190.8500004, 'knoten-ä:/data/runs');
INSERT INTO public.artifacts VALUES (8, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 'weights', 'läufe/weights.pt', 4294967301, '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 1767226574.3500006, 'knoten-ä:/data/runs');


--
-- Data for Name: attempts; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.attempts VALUES (1, '4020cba4d4652c65c0ddbd76cd4dfc1d74993f0bb4d95b7aef1c175bd8d8a30d', 1, 'launch-7f3a', 'knoten-ä', '732c1f0a422fdef3e754614fc1fce95daf723be8bf9c733d715c84f53dd50d81', 'cuda:0', 1, 1767225612.25, 1767225673.95, 'done', '', 0, 100, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (2, '6e41df76e58b4f5986db9ad6628edf20f0e3be8ef3d324248a4cffbd7d6fb377', 1, 'launch-7f3a', 'knoten-ä', '732c1f0a422fdef3e754614fc1fce95daf723be8bf9c733d715c84f53dd50d81', 'cuda:0', 1, 1767225683.95, 1767225745.65, 'done', '', 0, 200, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (3, '3c78109ed60d695ca983a2afe9df84f7288b70c7de96b39057b667ab5bf22389', 1, 'launch-7f3a', 'knoten-ä', '732c1f0a422fdef3e754614fc1fce95daf723be8bf9c733d715c84f53dd50d81', 'cuda:0', 1, 1767225755.65, 1767225817.3500001, 'done', '', 0, 100, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (4, 'f04d3612c5c6c2be0b92cf3e67299f8842b4894186b0f004f057e89bac834e1e', 1, 'launch-7f3a', 'knoten-ä', '732c1f0a422fdef3e754614fc1fce95daf723be8bf9c733d715c84f53dd50d81', 'cuda:0', 1, 1767225827.3500001, NULL, NULL, '', 0, 40, NULL, NULL, NULL, NULL, NULL, NULL, '0', NULL, 60, NULL);
INSERT INTO public.attempts VALUES (5, '520b07f8db538eed91e7b76ea89445497bfb980a82b0e12ebe1ed02f7059ebb0', 1, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767225842.3500001, 1767225904.0500002, 'done', '', 0, 500, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (6, '33371d6f0649b83b88b39a21cc848e53627a737014eae783aea053ae5c6e113a', 1, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767225914.0500002, 1767225975.7500002, 'done', '', 0, 500, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (7, 'c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 1, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767225985.7500002, 1767226047.4500003, 'done', '', 0, 500, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (8, '4e3628453168b3c176a1a05e93fb5d871a5344b108b0d5815d2521dfd253f848', 1, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226057.4500003, 1767226119.1500003, 'done', '', 0, 500, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (9, 'fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 1, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226129.1500003, 1767226190.8500004, 'done', '', 0, 500, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (10, '2c033368510051833f60439d60b941b60e83ee569c1e6061ad85dd2d1e11b259', 1, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226200.8500004, NULL, NULL, '', 0, 10, NULL, NULL, NULL, NULL, NULL, NULL, '0', NULL, 60, NULL);
INSERT INTO public.attempts VALUES (11, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 1, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226215.8500004, 1767226277.5500004, 'preempted', 'preempted: it''s »so«', 0, 7, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (12, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 2, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226287.5500004, 1767226349.2500005, 'node_lost', 'node_lost: it''s »so«', 7, 7, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (13, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 3, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226359.2500005, 1767226420.9500005, 'cancelled', 'cancelled: it''s »so«', 7, 7, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (14, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 4, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226430.9500005, 1767226492.6500006, 'pruned', 'pruned: it''s »so«', 7, 7, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (15, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 5, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226502.6500006, 1767226512.6500006, 'node_lost', '', 7, 7, NULL, NULL, NULL, NULL, NULL, NULL, '0', NULL, 5, NULL);
INSERT INTO public.attempts VALUES (16, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 6, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226512.6500006, 1767226574.3500006, 'done', '', 7, 500, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, NULL);
INSERT INTO public.attempts VALUES (17, 'e46db273410c7eb30bdd03fa6b79195812092cbf7fd689b8a049e688094cb9f2', 1, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226584.3500006, 1767226646.0500007, 'oom', 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
', 0, 2, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
');
INSERT INTO public.attempts VALUES (18, '2811b97f043d3af1de47a418673a23ce2537a3cdb3fe03be88963dcb89b5cf4b', 1, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226656.0500007, 1767226717.7500007, 'timeout', 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
', 0, 2, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
');
INSERT INTO public.attempts VALUES (19, 'a16c422b79b8996024f657d956c19360b155c0a0ce24c6abc83ad9ce30bd7445', 1, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226727.7500007, 1767226789.4500008, 'code_error', 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
', 0, 2, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
');
INSERT INTO public.attempts VALUES (20, 'f2103b3454cd910e7c49f1a1a169e45886564406aac18ca574cbaba4a463f4f4', 1, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226799.4500008, 1767226861.1500008, 'oom', 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
', 0, 2, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
');
INSERT INTO public.attempts VALUES (21, '2bc8b5ebdc0a1e84999ae6d9bfcccde52cc170adb0cf8d31d010a4da3192d707', 1, 'launch-7f3a', 'knoten-ä', 'c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', 'cuda:0', 1, 1767226871.1500008, 1767226932.8500009, 'diverged', 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
', 0, 2, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL, 0.0625, '0', 20.566666666666666, 60, 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
');
INSERT INTO public.attempts VALUES (22, 'c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 2, 'evaluator', 'knoten-ä', '732c1f0a422fdef3e754614fc1fce95daf723be8bf9c733d715c84f53dd50d81', 'cpu', 2, 1767226934.8500009, 1767226942.3500009, 'done', '', 500, 500, 7.5, 8.25, NULL, NULL, 'published', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.attempts VALUES (23, 'fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 2, 'evaluator', 'knoten-ä', '732c1f0a422fdef3e754614fc1fce95daf723be8bf9c733d715c84f53dd50d81', 'cpu', 2, 1767226943.3500009, 1767226950.8500009, 'done', '', 500, 500, 7.5, 8.25, NULL, NULL, 'published', NULL, NULL, NULL, NULL, NULL);


--
-- Data for Name: bars; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.bars VALUES ('961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'gaussian', 6.833333333333333, 0.01, 100, 'one mean and one deviation');
INSERT INTO public.bars VALUES ('605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 'png', NULL, NULL, 100, 'left out: it''s float32, no bytes');


--
-- Data for Name: cells; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.cells VALUES ('42c442effe8340c7308b86a39b4dcaa99d638c2296db697b2a717c45be2704ce', '3077e04205be97b1', 'realnvp', 'tiny', 'photos8', 'u8', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'channel', NULL, NULL, 'plain', 'float32', 2, 3.8833333333333337, 0.005000000000000009, 3.8333333333333335, 3.9333333333333336, 4.026190476190477, 0.005000000000000053);
INSERT INTO public.cells VALUES ('f4cd3e58662c045cf22ca1f9a0afdb749a3bdbd341474835e873c0f544d82631', '3077e04205be97b1', 'realnvp', 'tiny', 'photos8', 'u8', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'LL', 100, NULL, 'plain', 'float32', 1, 3.7333333333333334, 0, 3.7333333333333334, 3.7333333333333334, 3.876190476190476, 0);
INSERT INTO public.cells VALUES ('0c6ec994d8f27872b89eae95adefea96794fc294195b7785a5c93636f9e0e92a', '3077e04205be97b1', 'realnvp', 'tiny', 'photos8', 'u8', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'LL', 200, NULL, 'plain', 'float32', 1, 3.6333333333333333, 0, 3.6333333333333333, 3.6333333333333333, 3.776190476190476, 0);
INSERT INTO public.cells VALUES ('ee7c480f1d5a5ccea2206f1eca3088482f177439bfb2afaac212bb3585cf8e9a', 'f7950b91d6a7e739', 'resflow', 'tiny', 'celeba8', 'f32', '605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 'c205189a481bf5a63f631c0f5a510d700ce01120fc41837ed4e7c390f8b6a0d1', 'channel', NULL, NULL, 'plain', 'float32', 1, 6, 0, 6, 6, 6.142857142857143, 0);
INSERT INTO public.cells VALUES ('c8a9c05934734ccfc167a985c26d3b0b9ba50e5c46cc1903e0f484dc3f03c1c1', '3077e04205be97b1', 'realnvp', 'tiny', 'photos8', 'u8', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'HH', 100, NULL, 'plain', 'float32', 1, 4, 0, 4, 4, 4.142857142857143, 0);
INSERT INTO public.cells VALUES ('d876e780a909174b8b3e3ae54f61c20a242b098728cd53d834f33be5b9fe315e', 'ee6ddcecb0ab1ddd', 'realnvp', 'tiny', 'photos8', 'u8', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'LL', 100, NULL, 'published', 'float32', 1, 3.25, 0, 3.25, 3.25, 3.392857142857143, 0);
INSERT INTO public.cells VALUES ('fd1fd8f40a782e1cc965f4c23150caf321b0b8e35e1934ea49a5c2ce073eb912', '7228e6de5fc59047', 'resflow', 'tiny', 'celeba8', 'f32', '605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 'c205189a481bf5a63f631c0f5a510d700ce01120fc41837ed4e7c390f8b6a0d1', 'channel', NULL, NULL, 'published', 'float32', 1, 5.75, 0, 5.75, 5.75, 5.892857142857143, 0);


--
-- Data for Name: contribution_maps; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.contribution_maps VALUES (1, '703f93c17808c781d70f05a15145285c5fcae70287665416cd8b843a14e8db26', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 100, 1, 'cumulative', 1, 8, 8, '<f4', '\xd4a7313f90d37f3fe5bc3e3f97b5963d259c23bf6d707ebf2ec94abffc4c16be56ad143f14ac7b3ff5bb553f876e603e23f004bf5d8a77bf09865fbf42ac94becaf4e83e0411723fd119683fdd52b83eeac5c6bea1476bbf656b6fbf98f9dabe1b83a33ea237633f9e70753f5970fc3e9dba7ebe36ec59bf1e217abf55440ebf690d353e46724f3f65767d3fff8a1d3fbdc9d4bd5dd843bfd06b7fbff7f62bbf1345f93c942e373fa9fe7f3f3574393f6cfb303d818629bf232e7fbf02f045bfd9d1eebd18f31a3f60fb7c3f0859513f3bed413e95880bbf6d6979bf719f5bbf2ab285bec0b8f63e3e7d743ff9b4643f1eb4a93ed609d5beaa3d6ebf038d6cbf', '\xedefcb3c4684453d62508c3de208ad3d32dcc23d846acc3dd019c93d861fb93d317d9d3d86e06f3d0aac153dd42b483c1af3523c6c32183dc612723d8c5a9e3d2cb3b93d765ac93d1654cc3d1b70c23def4dac3d5a528b3d0922433df1abc63cc8d32d3a9d31d13c4ae4473dd64c8d3de1c1ad3d1746c33da57ecc3de7d6c83dca89b83d109e9c3d93ab6d3df923133d4d623d3c00b85d3c18b71a3d4d42743d1f369f3dbb44ba3dd698c93d5d3bcc3dd401c23d0d91ab3dc2528a3d9abd403db865c13cced2ad3af370d63c0d424a3db2478e3deb78ae3dcaadc33d7890cc3dbb91c83dfaf1b73d2cbd9b3df3736b3d3f9a103da496323c687a683c063a1d3d', '700ec4cc372b43260031b6377ded6b86643309430baff376aef03bd21cde1386', 900, 0.30344093718955517, 2.4186466152556936e-09, NULL, 1, '\x563852bfe1ef6f3ffa897ebe8a4e27bf9c977e3fbf8cf6be38c8e3be06447d3f362d2fbfc14d55be6f0a6c3ff31458bff362293da6ff4b3f3b6c73bf5bab933e97261f3fb07b7fbfa572043fed9fd03e82817bbf29bf363f1bb42b3e9cbd67bfeb925d3fdb3da9bd9d6d45bff87d763f0cd1a7beefb816bfdeef7f3fe7640dbf411cbdbed650793f11013ebf41cf01be480b633fd8af62bf1b80fd3d1b853e3fbf2379bf3dadbb3e42090e3ff3f37fbf3c19163fc245a93ef8b276bfc0ef443f1863af3d83f55dbf7b69673faaa928be274937bf665c7b3f3a37cfbe611b05bfed877f3fd38b1ebf1f2595be0ca9733f2e884bbfbab535bd877e583fc3bd6bbfca4996bc5143163dca5461bd6c29963d839bbbbd6ffde03dfc2503bef4c1153e045128be93d13a3e09424dbed0a05f3e51ec71be7d11823e9c218bbebe25943e1c1d9dbef106a63e76e2aebeebaeb73e8b6bc0be9717c93e4eb2d1bef43ada3eccb0e2be1c13eb3e2a61f3be3f9afb3ed3de01bf56e5053f4fe009bf67cf0d3f46b211bf9888153f075219bf400e1d3ff1bc20bfc75d243f74f027bfa9742b3f17ea2ebf7350323f71a735bfc8ee383f30263cbf614d3f3f176442bf0c6a453fff5e48bfae424b3fd8144ebf41d5503fac8353bfdc1f563f99a958bfab205b3fdb845dbff4d55f3fc41362bf193e643fc35466bf9457683f60466abffc206c3f', 0.97, 0.0625, 0.03333333333333333, 0.30000000000000004, 0.1111111111111111, NULL, 0);
INSERT INTO public.contribution_maps VALUES (2, '703f93c17808c781d70f05a15145285c5fcae70287665416cd8b843a14e8db26', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 100, 2, 'cumulative', 1, 8, 8, '<f4', '\x563852bfe1ef6f3ffa897ebe8a4e27bf9c977e3fbf8cf6be38c8e3be06447d3f362d2fbfc14d55be6f0a6c3ff31458bff362293da6ff4b3f3b6c73bf5bab933e97261f3fb07b7fbfa572043fed9fd03e82817bbf29bf363f1bb42b3e9cbd67bfeb925d3fdb3da9bd9d6d45bff87d763f0cd1a7beefb816bfdeef7f3fe7640dbf411cbdbed650793f11013ebf41cf01be480b633fd8af62bf1b80fd3d1b853e3fbf2379bf3dadbb3e42090e3ff3f37fbf3c19163fc245a93ef8b276bfc0ef443f1863af3d83f55dbf7b69673faaa928be274937bf665c7b3f3a37cfbe611b05bfed877f3fd38b1ebf1f2595be0ca9733f2e884bbfbab535bd877e583fc3bd6bbf', '\x5515ad3d960bb93d3001463c8a959e3d6c4bc23daa8dc43ca2c28d3d20b2c83d8f9c113d7ab7753dad27cc3ddacf3e3d954f4c3d169fcc3d1537693df7e81f3d9e16ca3d8f19883d8354e23cc497c43dd698993dbc85813c2937bc3db5d7a83d3687763b3c14b13df69cb53d27af083cc858a33dabb8bf3d967fa63c5638933de704c73d631b033d6aef803d4766cb3dfa0a313d4585593d5acccc3d2b625c3d6cfb2d3de031cb3d2a3f823d56c9ff3cde9cc63d7864943df1db9f3c861ebf3de55ca43d8b5af63bf7d2b43d84ecb13d2b57963bd3e0a73d71e0bc3d2d35883caf78983d900fc53d68d5e83c5ed4863d2c5bca3df105233d236c663d66afcc3d', '627c7125919c73a12cf09ff1b6542b355a4248c5a4ae0600ce6443d34393a467', 900, -0.6199206417666913, 2.4225507200838587e-09, 12, 1, '\xca4996bc5143163dca5461bd6c29963d839bbbbd6ffde03dfc2503bef4c1153e045128be93d13a3e09424dbed0a05f3e51ec71be7d11823e9c218bbebe25943e1c1d9dbef106a63e76e2aebeebaeb73e8b6bc0be9717c93e4eb2d1bef43ada3eccb0e2be1c13eb3e2a61f3be3f9afb3ed3de01bf56e5053f4fe009bf67cf0d3f46b211bf9888153f075219bf400e1d3ff1bc20bfc75d243f74f027bfa9742b3f17ea2ebf7350323f71a735bfc8ee383f30263cbf614d3f3f176442bf0c6a453fff5e48bfae424b3fd8144ebf41d5503fac8353bfdc1f563f99a958bfab205b3fdb845dbff4d55f3fc41362bf193e643fc35466bf9457683f60466abffc206c3f99f560bf86bd563f71ca9f3d8dce69bf4a364b3fbd4d1f3e953a71bfe1713e3f9fbd6d3e1b2e77bf3984303f385d9d3ed59f7bbf1083213f03e6c23ed2887ebfd085113f9c3ee73e89e47fbf6fa5003f2417053fdbb07fbf87f8dd3e40bf153f18ee7dbfbd4bb93ea27d253fff9e7abfbd7d933eb939343fbcc875bf1193593e84dc413fda726fbf12d70a3eba504e3f3da767bf80096d3ded82593f10725ebf8276a5bca261633fb2e153bf71ffc8bd72dd6b3f9f0648bfc5b333be1fe9723f5af33abfabe780bea979783f4abc2cbf432ca7be62867c3f9f771dbfee6bccbef7087f3f2d3d0dbf896cf0be7dfd7f3f954cf8bef27a09bf77627f3f439bd4be', 0.97, 0.0625, 0.03333333333333333, 0.30000000000000004, 0.1111111111111111, NULL, 0);
INSERT INTO public.contribution_maps VALUES (3, '703f93c17808c781d70f05a15145285c5fcae70287665416cd8b843a14e8db26', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 200, 1, 'cumulative', 1, 8, 8, '<f4', '\xfda42bbf91b17ebff6474ebfd0944dbeb904023f8a52743f9384683f4865c93e3132a6be980060bf554979bf5de611bfe32c033e908f423f6de77f3f2b29393f13c4963d5a321dbfe0197cbfc9e158bf926f8bbeeadce23e52086e3f89c56f3f9680eb3e381882be6c4556bfcfe57cbf51fd20bfe93a603de0c8353fc7b97f3f1eac453f595b163e55e50dbff52378bf4f4e62bf0653afbe3775c03e6c73663f64b9753f5c2a063f06933abe94604bbff3227fbf9d342fbf79ea9abca505283fdd287e3f751c513fc783603e5ea6fbbe50d572bf70806abfe942d2be26029d3e609e5d3fe2577a3f0ada153fd4e4dfbd31613fbfa6fd7fbf83783cbfe35cbdbd', '\xedefcb3c4684453d62508c3de208ad3d32dcc23d846acc3dd019c93d861fb93d317d9d3d86e06f3d0aac153dd42b483c1af3523c6c32183dc612723d8c5a9e3d2cb3b93d765ac93d1654cc3d1b70c23def4dac3d5a528b3d0922433df1abc63cc8d32d3a9d31d13c4ae4473dd64c8d3de1c1ad3d1746c33da57ecc3de7d6c83dca89b83d109e9c3d93ab6d3df923133d4d623d3c00b85d3c18b71a3d4d42743d1f369f3dbb44ba3dd698c93d5d3bcc3dd401c23d0d91ab3dc2528a3d9abd403db865c13cced2ad3af370d63c0d424a3db2478e3deb78ae3dcaadc33d7890cc3dbb91c83dfaf1b73d2cbd9b3df3736b3d3f9a103da496323c687a683c063a1d3d', '1fea5b5c4ccbd43c199a9123c69708f24e0cc22e6ece23e519bdfe2ecb517412', 900, -2.638664560975337, 2.4508618157017046e-09, NULL, 2, '\x72e37f3feaaf713d2cff7ebf1c44f1bd6c377d3f856c343ec78d7abf07966fbe9f04773fe7f4943e1a9f72bfe999b1be25616d3f7ba0cd3e6c4f67bf9eefe8be5b6f603f7ab7013f12c758bf6d830ebf685d503f3ed01a3fdc3947bff49226bf96643d3f11c1313f5ce632bf9b503cbf8ac8273f2738463f0b151cbfdf6e4fbf4fd60f3f8bec573f421703bf98a95fbf87c6eb3e1e9f663f358cd0bee8c66cbfd897b43e781b723f610298be0e9876bf9dca753ea8387a3f34b53abe0afa7cbf77f2fd3dbfd97e3ffc9785bd1bd67fbf4565cc3b3dee7f3f722d583d0f227fbf5a93e4bd47727d3f09222e3e67e07abf0e5f69beb96e773ff2e5913e512073bfb4f1e5be21734dbf30287cbf9d2475bff3e639bf611caebe93b4f23db1440d3f0a1a5e3ff89d7f3f8eac6a3f07bc233fb5a5673ebbfe70bed39225bf989f6bbf79797fbfc8e55cbf58420bbfb99ddfbdd39eb23e918b3b3f03d3753f36bb7b3fff014c3f69a4e13e3bb619bcd139eabea2df4ebf7c8f7cbfb27074bf253e38bf0296a9befbe2023edb430f3f4b495f3fb5bc7f3f3ab4693f8ae1213f76475e3e53527abee56527bf548d6cbf384f7fbf8bac5bbfdb3c09bfd681ccbd401db73ef52b3d3fdf7b763f90487b3f448c4a3f0852dd3e7fb499bca77ceebe7a4750bf16f17cbf44b773bf309136bfd00ba5beb8680c3eca3f113f8473603faed57f3f', 0.97, 0.0625, 0.03333333333333333, 0.30000000000000004, 0.1111111111111111, NULL, 0);
INSERT INTO public.contribution_maps VALUES (4, '703f93c17808c781d70f05a15145285c5fcae70287665416cd8b843a14e8db26', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 200, 2, 'cumulative', 1, 8, 8, '<f4', '\x72e37f3feaaf713d2cff7ebf1c44f1bd6c377d3f856c343ec78d7abf07966fbe9f04773fe7f4943e1a9f72bfe999b1be25616d3f7ba0cd3e6c4f67bf9eefe8be5b6f603f7ab7013f12c758bf6d830ebf685d503f3ed01a3fdc3947bff49226bf96643d3f11c1313f5ce632bf9b503cbf8ac8273f2738463f0b151cbfdf6e4fbf4fd60f3f8bec573f421703bf98a95fbf87c6eb3e1e9f663f358cd0bee8c66cbfd897b43e781b723f610298be0e9876bf9dca753ea8387a3f34b53abe0afa7cbf77f2fd3dbfd97e3ffc9785bd1bd67fbf4565cc3b3dee7f3f722d583d0f227fbf5a93e4bd47727d3f09222e3e67e07abf0e5f69beb96e773ff2e5913e512073bf', '\x5515ad3d960bb93d3001463c8a959e3d6c4bc23daa8dc43ca2c28d3d20b2c83d8f9c113d7ab7753dad27cc3ddacf3e3d954f4c3d169fcc3d1537693df7e81f3d9e16ca3d8f19883d8354e23cc497c43dd698993dbc85813c2937bc3db5d7a83d3687763b3c14b13df69cb53d27af083cc858a33dabb8bf3d967fa63c5638933de704c73d631b033d6aef803d4766cb3dfa0a313d4585593d5acccc3d2b625c3d6cfb2d3de031cb3d2a3f823d56c9ff3cde9cc63d7864943df1db9f3c861ebf3de55ca43d8b5af63bf7d2b43d84ecb13d2b57963bd3e0a73d71e0bc3d2d35883caf78983d900fc53d68d5e83c5ed4863d2c5bca3df105233d236c663d66afcc3d', '215e90d533b800a35e9e5d766f48a57becb5ed1f0504a6f5b5c2976a55a2fdab', 900, 0.201380377518183, 2.469590264473946e-09, 12, 2, '\xb4f1e5be21734dbf30287cbf9d2475bff3e639bf611caebe93b4f23db1440d3f0a1a5e3ff89d7f3f8eac6a3f07bc233fb5a5673ebbfe70bed39225bf989f6bbf79797fbfc8e55cbf58420bbfb99ddfbdd39eb23e918b3b3f03d3753f36bb7b3fff014c3f69a4e13e3bb619bcd139eabea2df4ebf7c8f7cbfb27074bf253e38bf0296a9befbe2023edb430f3f4b495f3fb5bc7f3f3ab4693f8ae1213f76475e3e53527abee56527bf548d6cbf384f7fbf8bac5bbfdb3c09bfd681ccbd401db73ef52b3d3fdf7b763f90487b3f448c4a3f0852dd3e7fb499bca77ceebe7a4750bf16f17cbf44b773bf309136bfd00ba5beb8680c3eca3f113f8473603faed57f3f4529e9becb944fbfda087dbfa5f772bfa89633bfea9b99beca532b3eef11193fc9b8653fe0f77f3fe80c623f6888123fe3730b3e8be9a8be823e39bfd86275bf8aaf7bbfbcc24abf37b1dabe08fa003d2066f73e2532543fec217e3fc14e703f36c12d3f4a278a3e31084bbe99741fbf572a69bfe3b67fbfa3275ebfacd90bbf28e1d6bd480cb83e53b73e3fbf8f773f54167a3f33bd453fa301cc3ea8e980bd16b202bfa09958bf77fa7ebfdb686dbfa6bf27bf2c1f75be0b896a3ec8ae253fb1606c3ff9347f3ff7095a3f6f07053ffca3963d4b00c7beb8ff43bfca7d79bf9e3d78bf758540bf441ebdbe9135c13dec8f093f1cca5c3f46927f3fad466a3f', 0.97, 0.0625, 0.03333333333333333, 0.30000000000000004, 0.1111111111111111, NULL, 0);
INSERT INTO public.contribution_maps VALUES (5, 'f434d481d96a85089a326c8948948fada450e57307ff006eaa5769f25c358f1e', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 100, 1, 'total', 1, 8, 8, '<f4', '\xd4a7313f90d37f3fe5bc3e3f97b5963d259c23bf6d707ebf2ec94abffc4c16be56ad143f14ac7b3ff5bb553f876e603e23f004bf5d8a77bf09865fbf42ac94becaf4e83e0411723fd119683fdd52b83eeac5c6bea1476bbf656b6fbf98f9dabe1b83a33ea237633f9e70753f5970fc3e9dba7ebe36ec59bf1e217abf55440ebf690d353e46724f3f65767d3fff8a1d3fbdc9d4bd5dd843bfd06b7fbff7f62bbf1345f93c942e373fa9fe7f3f3574393f6cfb303d818629bf232e7fbf02f045bfd9d1eebd18f31a3f60fb7c3f0859513f3bed413e95880bbf6d6979bf719f5bbf2ab285bec0b8f63e3e7d743ff9b4643f1eb4a93ed609d5beaa3d6ebf038d6cbf', '\xedefcb3c4684453d62508c3de208ad3d32dcc23d846acc3dd019c93d861fb93d317d9d3d86e06f3d0aac153dd42b483c1af3523c6c32183dc612723d8c5a9e3d2cb3b93d765ac93d1654cc3d1b70c23def4dac3d5a528b3d0922433df1abc63cc8d32d3a9d31d13c4ae4473dd64c8d3de1c1ad3d1746c33da57ecc3de7d6c83dca89b83d109e9c3d93ab6d3df923133d4d623d3c00b85d3c18b71a3d4d42743d1f369f3dbb44ba3dd698c93d5d3bcc3dd401c23d0d91ab3dc2528a3d9abd403db865c13cced2ad3af370d63c0d424a3db2478e3deb78ae3dcaadc33d7890cc3dbb91c83dfaf1b73d2cbd9b3df3736b3d3f9a103da496323c687a683c063a1d3d', '700ec4cc372b43260031b6377ded6b86643309430baff376aef03bd21cde1386', 900, 0.30344093718955517, 2.4186466152556936e-09, NULL, 3, '\x563852bfe1ef6f3ffa897ebe8a4e27bf9c977e3fbf8cf6be38c8e3be06447d3f362d2fbfc14d55be6f0a6c3ff31458bff362293da6ff4b3f3b6c73bf5bab933e97261f3fb07b7fbfa572043fed9fd03e82817bbf29bf363f1bb42b3e9cbd67bfeb925d3fdb3da9bd9d6d45bff87d763f0cd1a7beefb816bfdeef7f3fe7640dbf411cbdbed650793f11013ebf41cf01be480b633fd8af62bf1b80fd3d1b853e3fbf2379bf3dadbb3e42090e3ff3f37fbf3c19163fc245a93ef8b276bfc0ef443f1863af3d83f55dbf7b69673faaa928be274937bf665c7b3f3a37cfbe611b05bfed877f3fd38b1ebf1f2595be0ca9733f2e884bbfbab535bd877e583fc3bd6bbfca4996bc5143163dca5461bd6c29963d839bbbbd6ffde03dfc2503bef4c1153e045128be93d13a3e09424dbed0a05f3e51ec71be7d11823e9c218bbebe25943e1c1d9dbef106a63e76e2aebeebaeb73e8b6bc0be9717c93e4eb2d1bef43ada3eccb0e2be1c13eb3e2a61f3be3f9afb3ed3de01bf56e5053f4fe009bf67cf0d3f46b211bf9888153f075219bf400e1d3ff1bc20bfc75d243f74f027bfa9742b3f17ea2ebf7350323f71a735bfc8ee383f30263cbf614d3f3f176442bf0c6a453fff5e48bfae424b3fd8144ebf41d5503fac8353bfdc1f563f99a958bfab205b3fdb845dbff4d55f3fc41362bf193e643fc35466bf9457683f60466abffc206c3f', 0.97, 0.0625, 0.03333333333333333, 0.30000000000000004, 0.1111111111111111, NULL, 0);
INSERT INTO public.contribution_maps VALUES (6, 'f434d481d96a85089a326c8948948fada450e57307ff006eaa5769f25c358f1e', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 100, 2, 'total', 1, 8, 8, '<f4', '\x563852bfe1ef6f3ffa897ebe8a4e27bf9c977e3fbf8cf6be38c8e3be06447d3f362d2fbfc14d55be6f0a6c3ff31458bff362293da6ff4b3f3b6c73bf5bab933e97261f3fb07b7fbfa572043fed9fd03e82817bbf29bf363f1bb42b3e9cbd67bfeb925d3fdb3da9bd9d6d45bff87d763f0cd1a7beefb816bfdeef7f3fe7640dbf411cbdbed650793f11013ebf41cf01be480b633fd8af62bf1b80fd3d1b853e3fbf2379bf3dadbb3e42090e3ff3f37fbf3c19163fc245a93ef8b276bfc0ef443f1863af3d83f55dbf7b69673faaa928be274937bf665c7b3f3a37cfbe611b05bfed877f3fd38b1ebf1f2595be0ca9733f2e884bbfbab535bd877e583fc3bd6bbf', '\x5515ad3d960bb93d3001463c8a959e3d6c4bc23daa8dc43ca2c28d3d20b2c83d8f9c113d7ab7753dad27cc3ddacf3e3d954f4c3d169fcc3d1537693df7e81f3d9e16ca3d8f19883d8354e23cc497c43dd698993dbc85813c2937bc3db5d7a83d3687763b3c14b13df69cb53d27af083cc858a33dabb8bf3d967fa63c5638933de704c73d631b033d6aef803d4766cb3dfa0a313d4585593d5acccc3d2b625c3d6cfb2d3de031cb3d2a3f823d56c9ff3cde9cc63d7864943df1db9f3c861ebf3de55ca43d8b5af63bf7d2b43d84ecb13d2b57963bd3e0a73d71e0bc3d2d35883caf78983d900fc53d68d5e83c5ed4863d2c5bca3df105233d236c663d66afcc3d', '627c7125919c73a12cf09ff1b6542b355a4248c5a4ae0600ce6443d34393a467', 900, -0.6199206417666913, 2.4225507200838587e-09, 12, 3, '\xca4996bc5143163dca5461bd6c29963d839bbbbd6ffde03dfc2503bef4c1153e045128be93d13a3e09424dbed0a05f3e51ec71be7d11823e9c218bbebe25943e1c1d9dbef106a63e76e2aebeebaeb73e8b6bc0be9717c93e4eb2d1bef43ada3eccb0e2be1c13eb3e2a61f3be3f9afb3ed3de01bf56e5053f4fe009bf67cf0d3f46b211bf9888153f075219bf400e1d3ff1bc20bfc75d243f74f027bfa9742b3f17ea2ebf7350323f71a735bfc8ee383f30263cbf614d3f3f176442bf0c6a453fff5e48bfae424b3fd8144ebf41d5503fac8353bfdc1f563f99a958bfab205b3fdb845dbff4d55f3fc41362bf193e643fc35466bf9457683f60466abffc206c3f99f560bf86bd563f71ca9f3d8dce69bf4a364b3fbd4d1f3e953a71bfe1713e3f9fbd6d3e1b2e77bf3984303f385d9d3ed59f7bbf1083213f03e6c23ed2887ebfd085113f9c3ee73e89e47fbf6fa5003f2417053fdbb07fbf87f8dd3e40bf153f18ee7dbfbd4bb93ea27d253fff9e7abfbd7d933eb939343fbcc875bf1193593e84dc413fda726fbf12d70a3eba504e3f3da767bf80096d3ded82593f10725ebf8276a5bca261633fb2e153bf71ffc8bd72dd6b3f9f0648bfc5b333be1fe9723f5af33abfabe780bea979783f4abc2cbf432ca7be62867c3f9f771dbfee6bccbef7087f3f2d3d0dbf896cf0be7dfd7f3f954cf8bef27a09bf77627f3f439bd4be', 0.97, 0.0625, 0.03333333333333333, 0.30000000000000004, 0.1111111111111111, NULL, 0);
INSERT INTO public.contribution_maps VALUES (7, 'f434d481d96a85089a326c8948948fada450e57307ff006eaa5769f25c358f1e', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 100, 1, 'normalized', 1, 8, 8, '<f4', '\xd4a7313f90d37f3fe5bc3e3f97b5963d259c23bf6d707ebf2ec94abffc4c16be56ad143f14ac7b3ff5bb553f876e603e23f004bf5d8a77bf09865fbf42ac94becaf4e83e0411723fd119683fdd52b83eeac5c6bea1476bbf656b6fbf98f9dabe1b83a33ea237633f9e70753f5970fc3e9dba7ebe36ec59bf1e217abf55440ebf690d353e46724f3f65767d3fff8a1d3fbdc9d4bd5dd843bfd06b7fbff7f62bbf1345f93c942e373fa9fe7f3f3574393f6cfb303d818629bf232e7fbf02f045bfd9d1eebd18f31a3f60fb7c3f0859513f3bed413e95880bbf6d6979bf719f5bbf2ab285bec0b8f63e3e7d743ff9b4643f1eb4a93ed609d5beaa3d6ebf038d6cbf', '\xedefcb3c4684453d62508c3de208ad3d32dcc23d846acc3dd019c93d861fb93d317d9d3d86e06f3d0aac153dd42b483c1af3523c6c32183dc612723d8c5a9e3d2cb3b93d765ac93d1654cc3d1b70c23def4dac3d5a528b3d0922433df1abc63cc8d32d3a9d31d13c4ae4473dd64c8d3de1c1ad3d1746c33da57ecc3de7d6c83dca89b83d109e9c3d93ab6d3df923133d4d623d3c00b85d3c18b71a3d4d42743d1f369f3dbb44ba3dd698c93d5d3bcc3dd401c23d0d91ab3dc2528a3d9abd403db865c13cced2ad3af370d63c0d424a3db2478e3deb78ae3dcaadc33d7890cc3dbb91c83dfaf1b73d2cbd9b3df3736b3d3f9a103da496323c687a683c063a1d3d', '700ec4cc372b43260031b6377ded6b86643309430baff376aef03bd21cde1386', 900, 0.30344093718955517, 2.4186466152556936e-09, NULL, 3, '\x563852bfe1ef6f3ffa897ebe8a4e27bf9c977e3fbf8cf6be38c8e3be06447d3f362d2fbfc14d55be6f0a6c3ff31458bff362293da6ff4b3f3b6c73bf5bab933e97261f3fb07b7fbfa572043fed9fd03e82817bbf29bf363f1bb42b3e9cbd67bfeb925d3fdb3da9bd9d6d45bff87d763f0cd1a7beefb816bfdeef7f3fe7640dbf411cbdbed650793f11013ebf41cf01be480b633fd8af62bf1b80fd3d1b853e3fbf2379bf3dadbb3e42090e3ff3f37fbf3c19163fc245a93ef8b276bfc0ef443f1863af3d83f55dbf7b69673faaa928be274937bf665c7b3f3a37cfbe611b05bfed877f3fd38b1ebf1f2595be0ca9733f2e884bbfbab535bd877e583fc3bd6bbfca4996bc5143163dca5461bd6c29963d839bbbbd6ffde03dfc2503bef4c1153e045128be93d13a3e09424dbed0a05f3e51ec71be7d11823e9c218bbebe25943e1c1d9dbef106a63e76e2aebeebaeb73e8b6bc0be9717c93e4eb2d1bef43ada3eccb0e2be1c13eb3e2a61f3be3f9afb3ed3de01bf56e5053f4fe009bf67cf0d3f46b211bf9888153f075219bf400e1d3ff1bc20bfc75d243f74f027bfa9742b3f17ea2ebf7350323f71a735bfc8ee383f30263cbf614d3f3f176442bf0c6a453fff5e48bfae424b3fd8144ebf41d5503fac8353bfdc1f563f99a958bfab205b3fdb845dbff4d55f3fc41362bf193e643fc35466bf9457683f60466abffc206c3f', 0.97, 0.0625, 0.03333333333333333, 0.30000000000000004, 0.1111111111111111, NULL, 0);
INSERT INTO public.contribution_maps VALUES (8, 'f434d481d96a85089a326c8948948fada450e57307ff006eaa5769f25c358f1e', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 100, 2, 'normalized', 1, 8, 8, '<f4', '\x563852bfe1ef6f3ffa897ebe8a4e27bf9c977e3fbf8cf6be38c8e3be06447d3f362d2fbfc14d55be6f0a6c3ff31458bff362293da6ff4b3f3b6c73bf5bab933e97261f3fb07b7fbfa572043fed9fd03e82817bbf29bf363f1bb42b3e9cbd67bfeb925d3fdb3da9bd9d6d45bff87d763f0cd1a7beefb816bfdeef7f3fe7640dbf411cbdbed650793f11013ebf41cf01be480b633fd8af62bf1b80fd3d1b853e3fbf2379bf3dadbb3e42090e3ff3f37fbf3c19163fc245a93ef8b276bfc0ef443f1863af3d83f55dbf7b69673faaa928be274937bf665c7b3f3a37cfbe611b05bfed877f3fd38b1ebf1f2595be0ca9733f2e884bbfbab535bd877e583fc3bd6bbf', '\x5515ad3d960bb93d3001463c8a959e3d6c4bc23daa8dc43ca2c28d3d20b2c83d8f9c113d7ab7753dad27cc3ddacf3e3d954f4c3d169fcc3d1537693df7e81f3d9e16ca3d8f19883d8354e23cc497c43dd698993dbc85813c2937bc3db5d7a83d3687763b3c14b13df69cb53d27af083cc858a33dabb8bf3d967fa63c5638933de704c73d631b033d6aef803d4766cb3dfa0a313d4585593d5acccc3d2b625c3d6cfb2d3de031cb3d2a3f823d56c9ff3cde9cc63d7864943df1db9f3c861ebf3de55ca43d8b5af63bf7d2b43d84ecb13d2b57963bd3e0a73d71e0bc3d2d35883caf78983d900fc53d68d5e83c5ed4863d2c5bca3df105233d236c663d66afcc3d', '627c7125919c73a12cf09ff1b6542b355a4248c5a4ae0600ce6443d34393a467', 900, -0.6199206417666913, 2.4225507200838587e-09, 12, 3, '\xca4996bc5143163dca5461bd6c29963d839bbbbd6ffde03dfc2503bef4c1153e045128be93d13a3e09424dbed0a05f3e51ec71be7d11823e9c218bbebe25943e1c1d9dbef106a63e76e2aebeebaeb73e8b6bc0be9717c93e4eb2d1bef43ada3eccb0e2be1c13eb3e2a61f3be3f9afb3ed3de01bf56e5053f4fe009bf67cf0d3f46b211bf9888153f075219bf400e1d3ff1bc20bfc75d243f74f027bfa9742b3f17ea2ebf7350323f71a735bfc8ee383f30263cbf614d3f3f176442bf0c6a453fff5e48bfae424b3fd8144ebf41d5503fac8353bfdc1f563f99a958bfab205b3fdb845dbff4d55f3fc41362bf193e643fc35466bf9457683f60466abffc206c3f99f560bf86bd563f71ca9f3d8dce69bf4a364b3fbd4d1f3e953a71bfe1713e3f9fbd6d3e1b2e77bf3984303f385d9d3ed59f7bbf1083213f03e6c23ed2887ebfd085113f9c3ee73e89e47fbf6fa5003f2417053fdbb07fbf87f8dd3e40bf153f18ee7dbfbd4bb93ea27d253fff9e7abfbd7d933eb939343fbcc875bf1193593e84dc413fda726fbf12d70a3eba504e3f3da767bf80096d3ded82593f10725ebf8276a5bca261633fb2e153bf71ffc8bd72dd6b3f9f0648bfc5b333be1fe9723f5af33abfabe780bea979783f4abc2cbf432ca7be62867c3f9f771dbfee6bccbef7087f3f2d3d0dbf896cf0be7dfd7f3f954cf8bef27a09bf77627f3f439bd4be', 0.97, 0.0625, 0.03333333333333333, 0.30000000000000004, 0.1111111111111111, NULL, 0);


--
-- Data for Name: curves; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.curves VALUES (1, '4020cba4d4652c65c0ddbd76cd4dfc1d74993f0bb4d95b7aef1c175bd8d8a30d', 'holdout_bits_per_dim');
INSERT INTO public.curves VALUES (2, '4020cba4d4652c65c0ddbd76cd4dfc1d74993f0bb4d95b7aef1c175bd8d8a30d', 'train_bits_per_dim');
INSERT INTO public.curves VALUES (3, '6e41df76e58b4f5986db9ad6628edf20f0e3be8ef3d324248a4cffbd7d6fb377', 'holdout_bits_per_dim');
INSERT INTO public.curves VALUES (4, '6e41df76e58b4f5986db9ad6628edf20f0e3be8ef3d324248a4cffbd7d6fb377', 'train_bits_per_dim');
INSERT INTO public.curves VALUES (5, '520b07f8db538eed91e7b76ea89445497bfb980a82b0e12ebe1ed02f7059ebb0', 'holdout_bits_per_dim');
INSERT INTO public.curves VALUES (6, '520b07f8db538eed91e7b76ea89445497bfb980a82b0e12ebe1ed02f7059ebb0', 'train_bits_per_dim');
INSERT INTO public.curves VALUES (7, '33371d6f0649b83b88b39a21cc848e53627a737014eae783aea053ae5c6e113a', 'holdout_bits_per_dim');
INSERT INTO public.curves VALUES (8, '33371d6f0649b83b88b39a21cc848e53627a737014eae783aea053ae5c6e113a', 'train_bits_per_dim');
INSERT INTO public.curves VALUES (9, 'c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 'holdout_bits_per_dim');
INSERT INTO public.curves VALUES (10, 'c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 'train_bits_per_dim');
INSERT INTO public.curves VALUES (11, '4e3628453168b3c176a1a05e93fb5d871a5344b108b0d5815d2521dfd253f848', 'holdout_bits_per_dim');
INSERT INTO public.curves VALUES (12, '4e3628453168b3c176a1a05e93fb5d871a5344b108b0d5815d2521dfd253f848', 'train_bits_per_dim');
INSERT INTO public.curves VALUES (13, 'fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 'holdout_bits_per_dim');
INSERT INTO public.curves VALUES (14, 'fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 'train_bits_per_dim');
INSERT INTO public.curves VALUES (15, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 'holdout_bits_per_dim');
INSERT INTO public.curves VALUES (16, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 'train_bits_per_dim');
INSERT INTO public.curves VALUES (17, 'e46db273410c7eb30bdd03fa6b79195812092cbf7fd689b8a049e688094cb9f2', 'loss');
INSERT INTO public.curves VALUES (18, '2811b97f043d3af1de47a418673a23ce2537a3cdb3fe03be88963dcb89b5cf4b', 'loss');
INSERT INTO public.curves VALUES (19, 'a16c422b79b8996024f657d956c19360b155c0a0ce24c6abc83ad9ce30bd7445', 'loss');
INSERT INTO public.curves VALUES (20, 'f2103b3454cd910e7c49f1a1a169e45886564406aac18ca574cbaba4a463f4f4', 'loss');
INSERT INTO public.curves VALUES (21, '2bc8b5ebdc0a1e84999ae6d9bfcccde52cc170adb0cf8d31d010a4da3192d707', 'loss');


--
-- Data for Name: data_sets; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.data_sets VALUES ('961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'photos8', 'u8', 8, 8, 1, 900, 90, 100, '{"skipped":["it''s broken.png"],"source":"Fotos aus Köln"}', 1767225600.25);
INSERT INTO public.data_sets VALUES ('605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 'celeba8', 'f32', 8, 8, 1, 900, 90, 100, '{"skipped":["it''s broken.png"],"source":"Fotos aus Köln"}', 1767225600.25);


--
-- Data for Name: dictionary; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.dictionary VALUES ('trial_results', 0, '', 'view', 'One readable row for each result.');
INSERT INTO public.dictionary VALUES ('trial_results', 1, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('trial_results', 2, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('trial_results', 3, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('trial_results', 4, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('trial_results', 5, 'data_digest', 'text', 'content hash of the exact data set');
INSERT INTO public.dictionary VALUES ('trial_results', 6, 'factorization', 'text', 'canonical name of the factorization');
INSERT INTO public.dictionary VALUES ('trial_results', 7, 'budget', 'integer or null', 'pretraining steps behind the maps, null where none is used');
INSERT INTO public.dictionary VALUES ('trial_results', 8, 'seed', 'integer', 'seed of the trial');
INSERT INTO public.dictionary VALUES ('trial_results', 9, 'protocol', 'text', 'name of the evaluation protocol');
INSERT INTO public.dictionary VALUES ('trial_results', 10, 'precision', 'text', 'number format of the evaluation');
INSERT INTO public.dictionary VALUES ('trial_results', 11, 'bits_per_dim', 'float', 'bits per dimension on the test part');
INSERT INTO public.dictionary VALUES ('trial_results', 12, 'standard_error', 'float or null', 'standard error of bits_per_dim over images or clusters, null for a single one');
INSERT INTO public.dictionary VALUES ('trial_results', 13, 'holdout_bits_per_dim', 'float', 'bits per dimension on the holdout part');
INSERT INTO public.dictionary VALUES ('trial_results', 14, 'holdout_standard_error', 'float or null', 'standard error of holdout_bits_per_dim, null for a single image or cluster');
INSERT INTO public.dictionary VALUES ('trial_results', 15, 'train_bits_per_dim', 'float or null', 'bits per dimension on train, null when not taken');
INSERT INTO public.dictionary VALUES ('trial_results', 16, 'log_det', 'float', 'mean log-det on the test part, nats per image');
INSERT INTO public.dictionary VALUES ('trial_results', 17, 'log_prior', 'float', 'mean log-density of the latents there, nats per image');
INSERT INTO public.dictionary VALUES ('trial_results', 18, 'images', 'integer', 'number of test images');
INSERT INTO public.dictionary VALUES ('trial_results', 19, 'clusters', 'integer or null', 'clusters behind the standard errors, null for none');
INSERT INTO public.dictionary VALUES ('trial_results', 20, 'bound_draws', 'integer or null', 'K, dequantization draws of the importance-weighted bound; null when not taken');
INSERT INTO public.dictionary VALUES ('trial_results', 21, 'bound_images', 'integer or null', 'first test images that the bound is over; null when not taken');
INSERT INTO public.dictionary VALUES ('trial_results', 22, 'bound_bits_per_dim', 'float or null', 'bits per dimension of -log of the mean likelihood over K draws, on those images; null when not taken');
INSERT INTO public.dictionary VALUES ('trial_results', 23, 'bound_gain', 'float or null', 'by how much that is below the bits per dimension of one draw on the same images; null when not taken');
INSERT INTO public.dictionary VALUES ('trial_results', 24, 'series_terms', 'integer or null', 'exact terms of the power series of residual blocks; null for a flow without them');
INSERT INTO public.dictionary VALUES ('trial_results', 25, 'series_bias', 'float or null', 'bits per dimension less those at twice as many terms with the same probes, on the first 200 test images; null without a series, and where roulette leaves no bias');
INSERT INTO public.dictionary VALUES ('trial_results', 26, 'series_bias_standard_error', 'float or null', 'standard error of series_bias over images or clusters, null with it or for one image');
INSERT INTO public.dictionary VALUES ('trial_results', 27, 'splits', 'integer', 'number of splits of the flow');
INSERT INTO public.dictionary VALUES ('trial_results', 28, 'size', 'integer', 'height and width of the images in pixels');
INSERT INTO public.dictionary VALUES ('trial_results', 29, 'step', 'integer', 'training step of the evaluated weights');
INSERT INTO public.dictionary VALUES ('trial_results', 30, 'steps', 'integer', 'length of the training in optimizer steps');
INSERT INTO public.dictionary VALUES ('trial_results', 31, 'images_per_second', 'float or null', 'training images per second of the attempt that made the result, null if it only evaluated');
INSERT INTO public.dictionary VALUES ('trial_results', 32, 'data_wait', 'float or null', 'share of the time of training steps that attempts at the trial waited for images: the largest of them, 0 to 1; null when not measured');
INSERT INTO public.dictionary VALUES ('trial_results', 33, 'seconds', 'float or null', 'wall-clock seconds of all attempts at the trial, without pretraining and evaluations');
INSERT INTO public.dictionary VALUES ('trial_results', 34, 'cpu_seconds', 'float or null', 'CPU seconds of the same attempts');
INSERT INTO public.dictionary VALUES ('trial_results', 35, 'gpu_seconds', 'float or null', 'GPU seconds of the same attempts, null on a CPU');
INSERT INTO public.dictionary VALUES ('trial_results', 36, 'evaluation_seconds', 'float or null', 'wall-clock seconds of the attempt that made the result, null if it trained too');
INSERT INTO public.dictionary VALUES ('trial_results', 37, 'peak_memory', 'integer or null', 'peak memory in bytes of that attempt');
INSERT INTO public.dictionary VALUES ('trial_results', 38, 'threads', 'integer', 'number of CPU threads of that attempt');
INSERT INTO public.dictionary VALUES ('trial_results', 39, 'device', 'text', 'model of the processor or GPU of that attempt');
INSERT INTO public.dictionary VALUES ('trial_results', 40, 'cpu_capability', 'text', 'instruction set that PyTorch used');
INSERT INTO public.dictionary VALUES ('trial_results', 41, 'driver', 'text or null', 'version of the GPU''s driver, null on a CPU and before schema 0005');
INSERT INTO public.dictionary VALUES ('trial_results', 42, 'torch', 'text', 'version of PyTorch');
INSERT INTO public.dictionary VALUES ('trial_results', 43, 'code_version', 'text', 'version of the package');
INSERT INTO public.dictionary VALUES ('trial_results', 44, 'dirty', 'text or null', 'digest of uncommitted changes, null when there were none');
INSERT INTO public.dictionary VALUES ('trial_results', 45, 'created', 'float', 'when the result was added, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('trial_results', 46, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`');
INSERT INTO public.dictionary VALUES ('trial_results', 47, 'comparable', 'text', 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together');
INSERT INTO public.dictionary VALUES ('trial_results', 48, 'trial_id', 'text', 'the trial');
INSERT INTO public.dictionary VALUES ('trial_results', 49, 'recipe_id', 'text', 'the recipe');
INSERT INTO public.dictionary VALUES ('trial_results', 50, 'pretraining_id', 'text or null', 'pretraining whose maps are used, null where no map is');
INSERT INTO public.dictionary VALUES ('trial_results', 51, 'environment_id', 'text', 'versions and hardware of that attempt');
INSERT INTO public.dictionary VALUES ('trial_results', 52, 'cell_id', 'text', 'what the results are seeds of (cells.id)');
INSERT INTO public.dictionary VALUES ('trial_results', 53, 'result_id', 'text', 'the result');
INSERT INTO public.dictionary VALUES ('seed_statistics', 0, '', 'view', 'Results over seeds: a row for each cell, which is all that results share but the seed. The sample variance is squared_deviations / (n - 1).');
INSERT INTO public.dictionary VALUES ('seed_statistics', 1, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('seed_statistics', 2, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('seed_statistics', 3, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('seed_statistics', 4, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('seed_statistics', 5, 'protocol', 'text', 'name of the evaluation protocol');
INSERT INTO public.dictionary VALUES ('seed_statistics', 6, 'precision', 'text', 'number format of the evaluation');
INSERT INTO public.dictionary VALUES ('seed_statistics', 7, 'factorization', 'text', 'canonical name of the factorization');
INSERT INTO public.dictionary VALUES ('seed_statistics', 8, 'budget', 'integer or null', 'pretraining steps behind the maps, null where none is used');
INSERT INTO public.dictionary VALUES ('seed_statistics', 9, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`');
INSERT INTO public.dictionary VALUES ('seed_statistics', 10, 'n', 'integer', 'number of seeds');
INSERT INTO public.dictionary VALUES ('seed_statistics', 11, 'mean', 'float', 'mean bits per dimension on the test part over seeds');
INSERT INTO public.dictionary VALUES ('seed_statistics', 12, 'squared_deviations', 'float', 'sum over seeds of squared deviations from mean');
INSERT INTO public.dictionary VALUES ('seed_statistics', 13, 'least', 'float', 'bits per dimension of the best seed');
INSERT INTO public.dictionary VALUES ('seed_statistics', 14, 'greatest', 'float', 'bits per dimension of the worst seed');
INSERT INTO public.dictionary VALUES ('seed_statistics', 15, 'holdout_mean', 'float', 'mean bits per dimension on the holdout part over seeds');
INSERT INTO public.dictionary VALUES ('seed_statistics', 16, 'holdout_squared_deviations', 'float', 'sum over seeds of squared deviations from holdout_mean');
INSERT INTO public.dictionary VALUES ('seed_statistics', 17, 'splits', 'integer', 'number of splits of the flow');
INSERT INTO public.dictionary VALUES ('seed_statistics', 18, 'size', 'integer', 'height and width of the images in pixels');
INSERT INTO public.dictionary VALUES ('seed_statistics', 19, 'steps', 'integer', 'length of the training in optimizer steps');
INSERT INTO public.dictionary VALUES ('seed_statistics', 20, 'data_digest', 'text', 'content hash of the exact data set');
INSERT INTO public.dictionary VALUES ('seed_statistics', 21, 'recipe_id', 'text', 'the recipe');
INSERT INTO public.dictionary VALUES ('seed_statistics', 22, 'comparable', 'text', 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together');
INSERT INTO public.dictionary VALUES ('seed_statistics', 23, 'cell_id', 'text', 'what the results are seeds of (cells.id)');
INSERT INTO public.dictionary VALUES ('leaderboard', 0, '', 'view', 'Cells ranked by mean bits per dimension within what can be compared and has one recipe. No WHERE changes a rank.');
INSERT INTO public.dictionary VALUES ('leaderboard', 1, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('leaderboard', 2, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('leaderboard', 3, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('leaderboard', 4, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('leaderboard', 5, 'protocol', 'text', 'name of the evaluation protocol');
INSERT INTO public.dictionary VALUES ('leaderboard', 6, 'precision', 'text', 'number format of the evaluation');
INSERT INTO public.dictionary VALUES ('leaderboard', 7, 'rank', 'integer', 'place by mean among the cells of the recipe that can be compared, from 1');
INSERT INTO public.dictionary VALUES ('leaderboard', 8, 'factorization', 'text', 'canonical name of the factorization');
INSERT INTO public.dictionary VALUES ('leaderboard', 9, 'budget', 'integer or null', 'pretraining steps behind the maps, null where none is used');
INSERT INTO public.dictionary VALUES ('leaderboard', 10, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`');
INSERT INTO public.dictionary VALUES ('leaderboard', 11, 'n', 'integer', 'number of seeds');
INSERT INTO public.dictionary VALUES ('leaderboard', 12, 'mean', 'float', 'mean bits per dimension on the test part over seeds');
INSERT INTO public.dictionary VALUES ('leaderboard', 13, 'squared_deviations', 'float', 'sum over seeds of squared deviations from mean');
INSERT INTO public.dictionary VALUES ('leaderboard', 14, 'from_best', 'float', 'mean less the least mean there, at least 0');
INSERT INTO public.dictionary VALUES ('leaderboard', 15, 'conventional', 'text or null', 'canonical name of the flow''s conventional factorization, null for an unknown flow');
INSERT INTO public.dictionary VALUES ('leaderboard', 16, 'from_conventional', 'float or null', 'mean less that of the conventional factorization there, negative where it is better; null without one. Seeds are not paired: see pairs');
INSERT INTO public.dictionary VALUES ('leaderboard', 17, 'splits', 'integer', 'number of splits of the flow');
INSERT INTO public.dictionary VALUES ('leaderboard', 18, 'size', 'integer', 'height and width of the images in pixels');
INSERT INTO public.dictionary VALUES ('leaderboard', 19, 'steps', 'integer', 'length of the training in optimizer steps');
INSERT INTO public.dictionary VALUES ('leaderboard', 20, 'data_digest', 'text', 'content hash of the exact data set');
INSERT INTO public.dictionary VALUES ('leaderboard', 21, 'recipe_id', 'text', 'the recipe');
INSERT INTO public.dictionary VALUES ('leaderboard', 22, 'comparable', 'text', 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together');
INSERT INTO public.dictionary VALUES ('leaderboard', 23, 'cell_id', 'text', 'what the results are seeds of (cells.id)');
INSERT INTO public.dictionary VALUES ('pairs', 0, '', 'view', 'Results that differ in the factorization alone, paired by seed: one recipe, data set, protocol and precision; budget and options of the map too, where both use maps. Each pair is there both ways round.');
INSERT INTO public.dictionary VALUES ('pairs', 1, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('pairs', 2, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('pairs', 3, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('pairs', 4, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('pairs', 5, 'protocol', 'text', 'name of the evaluation protocol');
INSERT INTO public.dictionary VALUES ('pairs', 6, 'precision', 'text', 'number format of the evaluation');
INSERT INTO public.dictionary VALUES ('pairs', 7, 'seed', 'integer', 'seed of both trials');
INSERT INTO public.dictionary VALUES ('pairs', 8, 'factorization', 'text', 'canonical name of the factorization');
INSERT INTO public.dictionary VALUES ('pairs', 9, 'budget', 'integer or null', 'pretraining steps behind the maps, null where none is used');
INSERT INTO public.dictionary VALUES ('pairs', 10, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`');
INSERT INTO public.dictionary VALUES ('pairs', 11, 'bits_per_dim', 'float', 'bits per dimension on the test part');
INSERT INTO public.dictionary VALUES ('pairs', 12, 'other_factorization', 'text', 'canonical name of the other factorization');
INSERT INTO public.dictionary VALUES ('pairs', 13, 'other_budget', 'integer or null', 'the other trial''s budget, null where it uses no map');
INSERT INTO public.dictionary VALUES ('pairs', 14, 'other_map_options', 'text or null', 'the other trial''s options of the map');
INSERT INTO public.dictionary VALUES ('pairs', 15, 'other_bits_per_dim', 'float', 'the other trial''s bits per dimension');
INSERT INTO public.dictionary VALUES ('pairs', 16, 'difference', 'float', 'bits_per_dim - other_bits_per_dim, negative where the other has more');
INSERT INTO public.dictionary VALUES ('pairs', 17, 'data_digest', 'text', 'content hash of the exact data set');
INSERT INTO public.dictionary VALUES ('pairs', 18, 'recipe_id', 'text', 'the recipe');
INSERT INTO public.dictionary VALUES ('pairs', 19, 'comparable', 'text', 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together');
INSERT INTO public.dictionary VALUES ('pairs', 20, 'cell_id', 'text', 'what the results are seeds of (cells.id)');
INSERT INTO public.dictionary VALUES ('pairs', 21, 'other_cell_id', 'text', 'cell of the other result');
INSERT INTO public.dictionary VALUES ('pairs', 22, 'trial_id', 'text', 'the trial');
INSERT INTO public.dictionary VALUES ('pairs', 23, 'other_trial_id', 'text', 'the other trial');
INSERT INTO public.dictionary VALUES ('pairs', 24, 'result_id', 'text', 'the result');
INSERT INTO public.dictionary VALUES ('pairs', 25, 'other_result_id', 'text', 'the other result');
INSERT INTO public.dictionary VALUES ('budget_curve', 0, '', 'view', 'How much pretraining it takes: the cells that use maps by budget, beside the conventional factorization on the same recipe.');
INSERT INTO public.dictionary VALUES ('budget_curve', 1, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('budget_curve', 2, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('budget_curve', 3, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('budget_curve', 4, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('budget_curve', 5, 'protocol', 'text', 'name of the evaluation protocol');
INSERT INTO public.dictionary VALUES ('budget_curve', 6, 'precision', 'text', 'number format of the evaluation');
INSERT INTO public.dictionary VALUES ('budget_curve', 7, 'factorization', 'text', 'canonical name of the factorization');
INSERT INTO public.dictionary VALUES ('budget_curve', 8, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`');
INSERT INTO public.dictionary VALUES ('budget_curve', 9, 'budget', 'integer', 'pretraining steps behind the maps');
INSERT INTO public.dictionary VALUES ('budget_curve', 10, 'n', 'integer', 'number of seeds');
INSERT INTO public.dictionary VALUES ('failures', 9, 'seed', 'integer', 'seed of the trial or pretraining');
INSERT INTO public.dictionary VALUES ('budget_curve', 11, 'mean', 'float', 'mean bits per dimension on the test part over seeds');
INSERT INTO public.dictionary VALUES ('budget_curve', 12, 'squared_deviations', 'float', 'sum over seeds of squared deviations from mean');
INSERT INTO public.dictionary VALUES ('budget_curve', 13, 'pretraining_seconds', 'float or null', 'wall-clock seconds of the pretraining up to the budget by itself, mean over seeds; null when not known');
INSERT INTO public.dictionary VALUES ('budget_curve', 14, 'mask_share', 'float or null', 'share of the variance of the maps that the lattice explains, mean over seeds and splits (index_tables.mask_share); null when not known');
INSERT INTO public.dictionary VALUES ('budget_curve', 15, 'mask_share_by_chance', 'float or null', 'what that is on average for a map with none');
INSERT INTO public.dictionary VALUES ('budget_curve', 16, 'conventional', 'text or null', 'canonical name of the flow''s conventional factorization, null for an unknown flow');
INSERT INTO public.dictionary VALUES ('budget_curve', 17, 'conventional_n', 'integer or null', 'its seeds on the same recipe, null without results');
INSERT INTO public.dictionary VALUES ('budget_curve', 18, 'conventional_mean', 'float or null', 'its mean bits per dimension there');
INSERT INTO public.dictionary VALUES ('budget_curve', 19, 'conventional_squared_deviations', 'float or null', 'its sum of squared deviations');
INSERT INTO public.dictionary VALUES ('budget_curve', 20, 'from_conventional', 'float or null', 'mean - conventional_mean');
INSERT INTO public.dictionary VALUES ('budget_curve', 21, 'data_digest', 'text', 'content hash of the exact data set');
INSERT INTO public.dictionary VALUES ('budget_curve', 22, 'recipe_id', 'text', 'the recipe');
INSERT INTO public.dictionary VALUES ('budget_curve', 23, 'comparable', 'text', 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together');
INSERT INTO public.dictionary VALUES ('budget_curve', 24, 'cell_id', 'text', 'what the results are seeds of (cells.id)');
INSERT INTO public.dictionary VALUES ('against_paper', 0, '', 'view', 'Cells beside the numbers that papers print of the same flow, data set and factorization, under any of its names.');
INSERT INTO public.dictionary VALUES ('against_paper', 1, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('against_paper', 2, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('against_paper', 3, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('against_paper', 4, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('against_paper', 5, 'paper_profile', 'integer', '1 for the profile ''paper'', else 0: another training');
INSERT INTO public.dictionary VALUES ('against_paper', 6, 'protocol', 'text', 'name of the evaluation protocol');
INSERT INTO public.dictionary VALUES ('against_paper', 7, 'precision', 'text', 'number format of the evaluation');
INSERT INTO public.dictionary VALUES ('against_paper', 8, 'factorization', 'text', 'canonical name of the factorization');
INSERT INTO public.dictionary VALUES ('against_paper', 9, 'budget', 'integer or null', 'pretraining steps behind the maps, null where none is used');
INSERT INTO public.dictionary VALUES ('against_paper', 10, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`');
INSERT INTO public.dictionary VALUES ('against_paper', 11, 'n', 'integer', 'number of seeds');
INSERT INTO public.dictionary VALUES ('against_paper', 12, 'mean', 'float', 'mean bits per dimension on the test part over seeds');
INSERT INTO public.dictionary VALUES ('against_paper', 13, 'squared_deviations', 'float', 'sum over seeds of squared deviations from mean');
INSERT INTO public.dictionary VALUES ('against_paper', 14, 'printed_as', 'text', 'the factorization''s name in the paper, such as ''low''');
INSERT INTO public.dictionary VALUES ('against_paper', 15, 'printed', 'float', 'bits per dimension as printed');
INSERT INTO public.dictionary VALUES ('against_paper', 16, 'difference', 'float', 'mean - printed');
INSERT INTO public.dictionary VALUES ('against_paper', 17, 'source', 'text', 'the paper');
INSERT INTO public.dictionary VALUES ('against_paper', 18, 'source_table', 'text', 'number of its table');
INSERT INTO public.dictionary VALUES ('against_paper', 19, 'part', 'text', 'part of the data set, as far as the paper says: else ''unspecified''');
INSERT INTO public.dictionary VALUES ('against_paper', 20, 'note', 'text', 'what to keep in mind, may be empty');
INSERT INTO public.dictionary VALUES ('against_paper', 21, 'data_digest', 'text', 'content hash of the exact data set');
INSERT INTO public.dictionary VALUES ('against_paper', 22, 'recipe_id', 'text', 'the recipe');
INSERT INTO public.dictionary VALUES ('against_paper', 23, 'comparable', 'text', 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together');
INSERT INTO public.dictionary VALUES ('against_paper', 24, 'cell_id', 'text', 'what the results are seeds of (cells.id)');
INSERT INTO public.dictionary VALUES ('against_paper', 25, 'reference_id', 'text', 'the printed number (reference_results.id)');
INSERT INTO public.dictionary VALUES ('coverage', 0, '', 'view', 'What each cell of a sweep has and lacks. The counts from done to failed add up to planned.');
INSERT INTO public.dictionary VALUES ('coverage', 1, 'sweep', 'text', 'name of the sweep');
INSERT INTO public.dictionary VALUES ('coverage', 2, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('coverage', 3, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('coverage', 4, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('coverage', 5, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('coverage', 6, 'asked', 'text', 'the factorization''s name as the sweep asked for it');
INSERT INTO public.dictionary VALUES ('coverage', 7, 'factorization', 'text', 'canonical name of the factorization');
INSERT INTO public.dictionary VALUES ('coverage', 8, 'budget', 'integer or null', 'pretraining steps behind the maps, null where none is used');
INSERT INTO public.dictionary VALUES ('coverage', 9, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`');
INSERT INTO public.dictionary VALUES ('coverage', 10, 'planned', 'integer', 'trials of the cell');
INSERT INTO public.dictionary VALUES ('coverage', 11, 'done', 'integer', 'those with a result');
INSERT INTO public.dictionary VALUES ('coverage', 12, 'running', 'integer', 'those that somebody has claimed');
INSERT INTO public.dictionary VALUES ('coverage', 13, 'pending', 'integer', 'those that may start, now or when their pretraining is done');
INSERT INTO public.dictionary VALUES ('coverage', 14, 'blocked', 'integer', 'those whose pretraining diverged or failed on the way to their budget');
INSERT INTO public.dictionary VALUES ('coverage', 15, 'diverged', 'integer', 'those that diverged');
INSERT INTO public.dictionary VALUES ('coverage', 16, 'failed', 'integer', 'those that failed');
INSERT INTO public.dictionary VALUES ('coverage', 17, 'why', 'text or null', 'why the first of the missing is missing, the gravest first: how it ended with the last line of the message, how its pretraining did, where it runs, that it waits for its pretraining, after which outcome it is to be run again, or that it was not started; null when nothing is missing');
INSERT INTO public.dictionary VALUES ('coverage', 18, 'data_digest', 'text or null', 'content hash of the exact data set, null without a job');
INSERT INTO public.dictionary VALUES ('coverage', 19, 'recipe_id', 'text', 'the recipe');
INSERT INTO public.dictionary VALUES ('coverage', 20, 'sweep_id', 'text', 'the sweep');
INSERT INTO public.dictionary VALUES ('failures', 0, '', 'view', 'Jobs that diverged or failed, with their last attempt.');
INSERT INTO public.dictionary VALUES ('failures', 1, 'kind', 'text', '''pretraining'' or ''trial''');
INSERT INTO public.dictionary VALUES ('failures', 2, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('failures', 3, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('failures', 4, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('failures', 5, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('failures', 6, 'factorization', 'text or null', 'canonical name, null for a pretraining');
INSERT INTO public.dictionary VALUES ('failures', 7, 'budget', 'integer or null', 'pretraining steps behind a trial''s maps, null where none is used; or at the end of a pretraining''s segment');
INSERT INTO public.dictionary VALUES ('failures', 8, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`');
INSERT INTO public.dictionary VALUES ('failures', 10, 'state', 'text', '''diverged'' or ''failed''');
INSERT INTO public.dictionary VALUES ('failures', 11, 'step', 'integer', 'training step last reported');
INSERT INTO public.dictionary VALUES ('failures', 12, 'steps', 'integer', 'training step at which the job would be done');
INSERT INTO public.dictionary VALUES ('failures', 13, 'outcome', 'text or null', 'how the last attempt ended');
INSERT INTO public.dictionary VALUES ('failures', 14, 'message', 'text or null', 'what went wrong, in a line or more');
INSERT INTO public.dictionary VALUES ('failures', 15, 'owner', 'text or null', 'launch that ran it');
INSERT INTO public.dictionary VALUES ('failures', 16, 'host', 'text or null', 'machine it ran on');
INSERT INTO public.dictionary VALUES ('failures', 17, 'device', 'text or null', 'device it ran on, such as ''cpu'' or ''cuda:0''');
INSERT INTO public.dictionary VALUES ('failures', 18, 'devices', 'text or null', 'devices granted to it, null on a CPU');
INSERT INTO public.dictionary VALUES ('failures', 19, 'started', 'float or null', 'when it started, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('failures', 20, 'ended', 'float or null', 'when it ended, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('failures', 21, 'updated', 'float', 'when the job last changed, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('failures', 22, 'data_digest', 'text', 'content hash of the exact data set');
INSERT INTO public.dictionary VALUES ('failures', 23, 'recipe_id', 'text', 'the recipe');
INSERT INTO public.dictionary VALUES ('failures', 24, 'trial_id', 'text or null', 'the trial, null for a pretraining');
INSERT INTO public.dictionary VALUES ('failures', 25, 'pretraining_id', 'text or null', 'the pretraining, null for a trial');
INSERT INTO public.dictionary VALUES ('failures', 26, 'attempt_id', 'integer or null', 'the last attempt');
INSERT INTO public.dictionary VALUES ('failures', 27, 'job_id', 'text', 'the job');
INSERT INTO public.dictionary VALUES ('stale_leases', 0, '', 'view', 'Running jobs whose lease is over: whoever claims one next has it.');
INSERT INTO public.dictionary VALUES ('stale_leases', 1, 'kind', 'text', '''pretraining'' or ''trial''');
INSERT INTO public.dictionary VALUES ('stale_leases', 2, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('stale_leases', 3, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('stale_leases', 4, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('stale_leases', 5, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('stale_leases', 6, 'factorization', 'text or null', 'canonical name, null for a pretraining');
INSERT INTO public.dictionary VALUES ('stale_leases', 7, 'budget', 'integer or null', 'pretraining steps behind a trial''s maps, null where none is used; or at the end of a pretraining''s segment');
INSERT INTO public.dictionary VALUES ('stale_leases', 8, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`');
INSERT INTO public.dictionary VALUES ('stale_leases', 9, 'seed', 'integer', 'seed of the trial or pretraining');
INSERT INTO public.dictionary VALUES ('stale_leases', 10, 'step', 'integer', 'training step last reported');
INSERT INTO public.dictionary VALUES ('stale_leases', 11, 'steps', 'integer', 'training step at which the job is done');
INSERT INTO public.dictionary VALUES ('stale_leases', 12, 'owner', 'text', 'launch that holds the job');
INSERT INTO public.dictionary VALUES ('stale_leases', 13, 'host', 'text', 'machine it runs on');
INSERT INTO public.dictionary VALUES ('stale_leases', 14, 'pid', 'integer', 'process it runs in');
INSERT INTO public.dictionary VALUES ('stale_leases', 15, 'token', 'integer', 'number of attempts so far');
INSERT INTO public.dictionary VALUES ('stale_leases', 16, 'started', 'float or null', 'when the attempt started, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('stale_leases', 17, 'lease_until', 'float', 'when the lease ended, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('stale_leases', 18, 'overdue', 'float', 'seconds since then by the database''s clock');
INSERT INTO public.dictionary VALUES ('stale_leases', 19, 'data_digest', 'text', 'content hash of the exact data set');
INSERT INTO public.dictionary VALUES ('stale_leases', 20, 'recipe_id', 'text', 'the recipe');
INSERT INTO public.dictionary VALUES ('stale_leases', 21, 'trial_id', 'text or null', 'the trial, null for a pretraining');
INSERT INTO public.dictionary VALUES ('stale_leases', 22, 'pretraining_id', 'text or null', 'the pretraining, null for a trial');
INSERT INTO public.dictionary VALUES ('stale_leases', 23, 'attempt_id', 'integer or null', 'the last attempt');
INSERT INTO public.dictionary VALUES ('stale_leases', 24, 'job_id', 'text', 'the job');
INSERT INTO public.dictionary VALUES ('costs', 0, '', 'view', 'What each trial cost on each exact data set, by itself. Sums over trials count a shared pretraining once for each; sum attempts for what was spent.');
INSERT INTO public.dictionary VALUES ('costs', 1, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('costs', 2, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('costs', 3, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('costs', 4, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('costs', 5, 'factorization', 'text', 'canonical name of the factorization');
INSERT INTO public.dictionary VALUES ('costs', 6, 'budget', 'integer or null', 'pretraining steps behind the maps, null where none is used');
INSERT INTO public.dictionary VALUES ('costs', 7, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`');
INSERT INTO public.dictionary VALUES ('costs', 8, 'seed', 'integer', 'seed of the trial');
INSERT INTO public.dictionary VALUES ('costs', 9, 'state', 'text', '''pending'', ''running'', ''done'', ''diverged'' or ''failed''');
INSERT INTO public.dictionary VALUES ('costs', 10, 'attempts', 'integer', 'attempts at the trial, without evaluations');
INSERT INTO public.dictionary VALUES ('costs', 11, 'unreported', 'integer', 'those that ended without a report, and count as no time');
INSERT INTO public.dictionary VALUES ('costs', 12, 'seconds', 'float or null', 'wall-clock seconds of the attempts, lost ones too');
INSERT INTO public.dictionary VALUES ('costs', 13, 'cpu_seconds', 'float or null', 'CPU seconds of the attempts');
INSERT INTO public.dictionary VALUES ('costs', 14, 'gpu_seconds', 'float or null', 'GPU seconds of the attempts, null on a CPU');
INSERT INTO public.dictionary VALUES ('costs', 15, 'evaluation_seconds', 'float or null', 'wall-clock seconds of evaluations of kept weights');
INSERT INTO public.dictionary VALUES ('costs', 16, 'images_per_second', 'float or null', 'training images per second of the last attempt');
INSERT INTO public.dictionary VALUES ('costs', 17, 'peak_memory', 'integer or null', 'largest peak memory of the attempts in bytes');
INSERT INTO public.dictionary VALUES ('costs', 18, 'data_wait', 'float or null', 'largest share of steps'' time that went on images, 0 to 1');
INSERT INTO public.dictionary VALUES ('costs', 19, 'pretraining_seconds', 'float or null', 'wall-clock seconds of the whole pretraining up to the budget, as if no other trial used it; null without one');
INSERT INTO public.dictionary VALUES ('costs', 20, 'pretraining_cpu_seconds', 'float or null', 'CPU seconds of the same');
INSERT INTO public.dictionary VALUES ('costs', 21, 'pretraining_gpu_seconds', 'float or null', 'GPU seconds of the same, null on a CPU');
INSERT INTO public.dictionary VALUES ('costs', 22, 'data_digest', 'text', 'content hash of the exact data set');
INSERT INTO public.dictionary VALUES ('costs', 23, 'recipe_id', 'text', 'the recipe');
INSERT INTO public.dictionary VALUES ('costs', 24, 'pretraining_id', 'text or null', 'pretraining whose maps are used, null where no map is');
INSERT INTO public.dictionary VALUES ('costs', 25, 'trial_id', 'text', 'the trial');
INSERT INTO public.dictionary VALUES ('costs', 26, 'job_id', 'text', 'its job on this data set');
INSERT INTO public.dictionary VALUES ('costs', 27, 'total_seconds', 'float or null', 'seconds + pretraining_seconds');
INSERT INTO public.dictionary VALUES ('costs', 28, 'total_cpu_seconds', 'float or null', 'cpu_seconds + pretraining_cpu_seconds');
INSERT INTO public.dictionary VALUES ('costs', 29, 'total_gpu_seconds', 'float or null', 'gpu_seconds + pretraining_gpu_seconds');
INSERT INTO public.dictionary VALUES ('snapshots', 0, '', 'view', 'Pretrainings, segment by segment: how far, how long, and what is there.');
INSERT INTO public.dictionary VALUES ('snapshots', 1, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('snapshots', 2, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('snapshots', 3, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('snapshots', 4, 'seed', 'integer', 'seed of the pretraining');
INSERT INTO public.dictionary VALUES ('snapshots', 5, 'nms', 'text', 'the flow without splits: ''squeezed'' or ''flat''');
INSERT INTO public.dictionary VALUES ('snapshots', 6, 'budget', 'integer', 'training step at which the segment ends');
INSERT INTO public.dictionary VALUES ('snapshots', 7, 'state', 'text', '''pending'', ''running'', ''done'', ''diverged'' or ''failed''');
INSERT INTO public.dictionary VALUES ('snapshots', 8, 'step', 'integer', 'training step last reported');
INSERT INTO public.dictionary VALUES ('snapshots', 9, 'attempts', 'integer', 'attempts at the segment');
INSERT INTO public.dictionary VALUES ('snapshots', 10, 'seconds', 'float or null', 'wall-clock seconds of the segment, lost attempts too');
INSERT INTO public.dictionary VALUES ('snapshots', 11, 'cpu_seconds', 'float or null', 'CPU seconds of the segment');
INSERT INTO public.dictionary VALUES ('snapshots', 12, 'gpu_seconds', 'float or null', 'GPU seconds of the segment, null on a CPU');
INSERT INTO public.dictionary VALUES ('snapshots', 13, 'total_seconds', 'float or null', 'wall-clock seconds of all segments up to this budget');
INSERT INTO public.dictionary VALUES ('snapshots', 14, 'maps', 'integer', 'contribution maps taken at this budget');
INSERT INTO public.dictionary VALUES ('snapshots', 15, 'place', 'text or null', 'where its checkpoint is, as HOST:FOLDER; null if none is kept');
INSERT INTO public.dictionary VALUES ('snapshots', 16, 'path', 'text or null', 'the checkpoint''s path in that folder');
INSERT INTO public.dictionary VALUES ('snapshots', 17, 'bytes', 'integer or null', 'the checkpoint''s length');
INSERT INTO public.dictionary VALUES ('snapshots', 18, 'digest', 'text or null', 'sha256 of the checkpoint');
INSERT INTO public.dictionary VALUES ('snapshots', 19, 'data_digest', 'text', 'content hash of the exact data set');
INSERT INTO public.dictionary VALUES ('snapshots', 20, 'recipe_id', 'text', 'the recipe');
INSERT INTO public.dictionary VALUES ('snapshots', 21, 'pretraining_id', 'text', 'the pretraining');
INSERT INTO public.dictionary VALUES ('snapshots', 22, 'job_id', 'text', 'the segment''s job');
INSERT INTO public.dictionary VALUES ('map_statistics', 0, '', 'view', 'Contribution maps in numbers, without the arrays. See contribution_maps.');
INSERT INTO public.dictionary VALUES ('map_statistics', 1, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('map_statistics', 2, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('map_statistics', 3, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('map_statistics', 4, 'data_digest', 'text', 'content hash of the exact data set');
INSERT INTO public.dictionary VALUES ('map_statistics', 5, 'seed', 'integer', 'seed of the pretraining');
INSERT INTO public.dictionary VALUES ('map_statistics', 6, 'nms', 'text', 'the flow without splits: ''squeezed'' or ''flat''');
INSERT INTO public.dictionary VALUES ('map_statistics', 7, 'budget', 'integer', 'training step at which the map was taken');
INSERT INTO public.dictionary VALUES ('map_statistics', 8, 'score', 'text', '''cumulative'', ''normalized'' or ''total''');
INSERT INTO public.dictionary VALUES ('map_statistics', 9, 'split', 'integer', 'split before which the map is taken, from 1');
INSERT INTO public.dictionary VALUES ('map_statistics', 10, 'mask_share', 'float or null', 'share of variance in windows that the lattice explains');
INSERT INTO public.dictionary VALUES ('map_statistics', 11, 'mask_share_by_chance', 'float or null', 'what that is on average for a map with none');
INSERT INTO public.dictionary VALUES ('map_statistics', 12, 'standard_error', 'float or null', 'root mean square of the entries'' standard errors, nats');
INSERT INTO public.dictionary VALUES ('map_statistics', 13, 'rank_gap', 'float or null', 'median gap between ranks two and three of a window, nats');
INSERT INTO public.dictionary VALUES ('map_statistics', 14, 'error_to_gap', 'float or null', 'standard_error / rank_gap');
INSERT INTO public.dictionary VALUES ('map_statistics', 15, 'unresolved', 'float or null', 'share of windows with a gap within two standard errors');
INSERT INTO public.dictionary VALUES ('map_statistics', 16, 'tied', 'float or null', 'share of windows in which ranks two and three are equal');
INSERT INTO public.dictionary VALUES ('map_statistics', 17, 'mean_log_det', 'float', 'scalar that the map sums to, nats per image');
INSERT INTO public.dictionary VALUES ('map_statistics', 18, 'sum_error', 'float', '|sum of the map - mean_log_det| / sum of |map|');
INSERT INTO public.dictionary VALUES ('map_statistics', 19, 'images', 'integer', 'number of images averaged over');
INSERT INTO public.dictionary VALUES ('map_statistics', 20, 'clusters', 'integer or null', 'clusters behind the standard errors, null for none');
INSERT INTO public.dictionary VALUES ('map_statistics', 21, 'recipe_id', 'text', 'recipe of the pretraining');
INSERT INTO public.dictionary VALUES ('map_statistics', 22, 'pretraining_id', 'text', 'the pretraining');
INSERT INTO public.dictionary VALUES ('map_statistics', 23, 'digest', 'text', 'sha256 of the map''s values');
INSERT INTO public.dictionary VALUES ('table_statistics', 0, '', 'view', 'Index tables in numbers, with how far seeds and budgets agree. See index_tables.');
INSERT INTO public.dictionary VALUES ('table_statistics', 1, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('table_statistics', 2, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('table_statistics', 3, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('table_statistics', 4, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('table_statistics', 5, 'data_digest', 'text', 'content hash of the exact data set');
INSERT INTO public.dictionary VALUES ('table_statistics', 6, 'factorization', 'text', 'canonical name of the factorization');
INSERT INTO public.dictionary VALUES ('table_statistics', 7, 'budget', 'integer or null', 'pretraining steps behind the maps, null where none is used');
INSERT INTO public.dictionary VALUES ('table_statistics', 8, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`');
INSERT INTO public.dictionary VALUES ('table_statistics', 9, 'seed', 'integer', 'seed of the trial');
INSERT INTO public.dictionary VALUES ('table_statistics', 10, 'split', 'integer', 'the split, from 1');
INSERT INTO public.dictionary VALUES ('table_statistics', 11, 'iou_even', 'float', 'overlap of what stays with checkerboard-even; 1/3 by chance');
INSERT INTO public.dictionary VALUES ('table_statistics', 12, 'iou_odd', 'float', 'overlap of what stays with checkerboard-odd; 1/3 by chance');
INSERT INTO public.dictionary VALUES ('table_statistics', 13, 'purity', 'float', 'share of windows with the most common pattern');
INSERT INTO public.dictionary VALUES ('table_statistics', 14, 'channel_purity', 'float', 'the same for each channel apart, averaged');
INSERT INTO public.dictionary VALUES ('table_statistics', 15, 'mask_share', 'float or null', 'share of the map''s variance that the lattice explains');
INSERT INTO public.dictionary VALUES ('table_statistics', 16, 'mask_share_by_chance', 'float or null', 'what that is on average for a map with none');
INSERT INTO public.dictionary VALUES ('table_statistics', 17, 'tied', 'float or null', 'share of windows in which ranks two and three are equal');
INSERT INTO public.dictionary VALUES ('table_statistics', 18, 'agreement', 'float or null', 'overlap between the tables of two halves of the data');
INSERT INTO public.dictionary VALUES ('table_statistics', 19, 'iou_other_seeds', 'float or null', 'mean overlap with the tables of other seeds, null for none');
INSERT INTO public.dictionary VALUES ('table_statistics', 20, 'iou_other_budgets', 'float or null', 'mean overlap with the tables of other budgets, null for none');
INSERT INTO public.dictionary VALUES ('table_statistics', 21, 'recipe_id', 'text', 'recipe of the trial');
INSERT INTO public.dictionary VALUES ('table_statistics', 22, 'trial_id', 'text', 'the trial');
INSERT INTO public.dictionary VALUES ('table_statistics', 23, 'digest', 'text', 'sha256 of the split''s permutation');
INSERT INTO public.dictionary VALUES ('data_sets', 0, '', 'table', 'Prepared data sets, each known by its exact content.');
INSERT INTO public.dictionary VALUES ('data_sets', 1, 'digest', 'text, key', 'content hash of all pixels, whatever file they came from');
INSERT INTO public.dictionary VALUES ('data_sets', 2, 'name', 'text', 'name of the data set, such as ''cifar10''');
INSERT INTO public.dictionary VALUES ('data_sets', 3, 'variant', 'text', 'variant of the pixels, such as ''u8''');
INSERT INTO public.dictionary VALUES ('data_sets', 4, 'height', 'integer', 'height of an image in pixels');
INSERT INTO public.dictionary VALUES ('data_sets', 5, 'width', 'integer', 'width of an image in pixels');
INSERT INTO public.dictionary VALUES ('data_sets', 6, 'channels', 'integer', 'number of channels');
INSERT INTO public.dictionary VALUES ('data_sets', 7, 'train', 'integer', 'number of images to train on');
INSERT INTO public.dictionary VALUES ('data_sets', 8, 'holdout', 'integer', 'number of images held out of training, for choices');
INSERT INTO public.dictionary VALUES ('data_sets', 9, 'test', 'integer', 'number of images to report on');
INSERT INTO public.dictionary VALUES ('data_sets', 10, 'manifest', 'text', 'manifest of the prepared set as JSON');
INSERT INTO public.dictionary VALUES ('data_sets', 11, 'created', 'float', 'when the row was added, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('dictionary', 0, '', 'table', 'What every view, table and column means, for whoever opens the database.');
INSERT INTO public.dictionary VALUES ('dictionary', 1, 'relation', 'text, key', 'a view or table');
INSERT INTO public.dictionary VALUES ('dictionary', 2, 'position', 'integer, key', 'place of the column, from 1; 0 for the view or table itself');
INSERT INTO public.dictionary VALUES ('dictionary', 3, 'column', 'text', 'name of the column, empty for the view or table itself');
INSERT INTO public.dictionary VALUES ('dictionary', 4, 'type', 'text', 'type of the column, or ''view'' or ''table''');
INSERT INTO public.dictionary VALUES ('dictionary', 5, 'meaning', 'text', 'what it is, with its unit');
INSERT INTO public.dictionary VALUES ('environments', 0, '', 'table', 'Where code ran: versions and hardware.');
INSERT INTO public.dictionary VALUES ('environments', 1, 'id', 'text, key', 'content hash of the other columns but `created`');
INSERT INTO public.dictionary VALUES ('environments', 2, 'code_version', 'text', 'version of the package, with the commit where it is known');
INSERT INTO public.dictionary VALUES ('environments', 3, 'dirty', 'text or null', 'digest of uncommitted changes, null when there were none');
INSERT INTO public.dictionary VALUES ('environments', 4, 'python', 'text', 'version of Python');
INSERT INTO public.dictionary VALUES ('environments', 5, 'torch', 'text', 'version of PyTorch, with its build');
INSERT INTO public.dictionary VALUES ('environments', 6, 'platform', 'text', 'operating system and machine');
INSERT INTO public.dictionary VALUES ('environments', 7, 'device', 'text', 'model of the processor or GPU');
INSERT INTO public.dictionary VALUES ('environments', 8, 'cpu_capability', 'text', 'instruction set that PyTorch uses, such as ''AVX512''');
INSERT INTO public.dictionary VALUES ('environments', 9, 'packages', 'text', 'versions of the other packages as JSON');
INSERT INTO public.dictionary VALUES ('environments', 10, 'driver', 'text or null', 'version of the GPU''s driver, null on a CPU and before schema 0005');
INSERT INTO public.dictionary VALUES ('environments', 11, 'flags', 'text or null', 'settings that may change the last bits or the speed as JSON; null before schema 0005');
INSERT INTO public.dictionary VALUES ('environments', 12, 'created', 'float', 'when the row was added, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('metrics', 0, '', 'table', 'Points of curves over training.');
INSERT INTO public.dictionary VALUES ('metrics', 1, 'curve_id', 'integer, key', 'the curve (curves.id)');
INSERT INTO public.dictionary VALUES ('metrics', 2, 'step', 'integer, key', 'training step');
INSERT INTO public.dictionary VALUES ('metrics', 3, 'value', 'float or null', 'the value, null for one that is not a number');
INSERT INTO public.dictionary VALUES ('recipes', 0, '', 'table', 'Resolved training recipes: all that fixes the training of one flow on one data set.');
INSERT INTO public.dictionary VALUES ('recipes', 1, 'id', 'text, key', 'content hash of the recipe');
INSERT INTO public.dictionary VALUES ('recipes', 2, 'flow', 'text', 'name of the flow, such as ''realnvp''');
INSERT INTO public.dictionary VALUES ('recipes', 3, 'profile', 'text', 'size of the recipe: ''paper'', ''small'', ''tiny'' or a custom one');
INSERT INTO public.dictionary VALUES ('recipes', 4, 'splits', 'integer', 'number of splits, 0 for a flow with none');
INSERT INTO public.dictionary VALUES ('recipes', 5, 'size', 'integer', 'height and width of the images in pixels');
INSERT INTO public.dictionary VALUES ('recipes', 6, 'steps', 'integer', 'length of the training in optimizer steps');
INSERT INTO public.dictionary VALUES ('recipes', 7, 'body', 'text', 'the whole resolved recipe as canonical JSON');
INSERT INTO public.dictionary VALUES ('recipes', 8, 'conventional', 'text or null', 'canonical name of the flow''s conventional factorization on it, ''none'' without splits; null for a flow that was not known');
INSERT INTO public.dictionary VALUES ('reference_results', 0, '', 'table', 'Numbers that papers print, none of which was measured here.');
INSERT INTO public.dictionary VALUES ('reference_results', 1, 'id', 'text, key', 'content hash of the other columns but `note`');
INSERT INTO public.dictionary VALUES ('reference_results', 2, 'source', 'text', 'the paper');
INSERT INTO public.dictionary VALUES ('reference_results', 3, 'source_table', 'text', 'number of its table');
INSERT INTO public.dictionary VALUES ('reference_results', 4, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('reference_results', 5, 'dataset', 'text', 'name of the data set, with its variant');
INSERT INTO public.dictionary VALUES ('reference_results', 6, 'factorization', 'text', 'name of the factorization as it is asked for');
INSERT INTO public.dictionary VALUES ('reference_results', 7, 'bits_per_dim', 'float', 'bits per dimension as printed');
INSERT INTO public.dictionary VALUES ('reference_results', 8, 'part', 'text', 'part of the data set, as far as the paper says: else ''unspecified''');
INSERT INTO public.dictionary VALUES ('reference_results', 9, 'note', 'text', 'what to keep in mind, may be empty');
INSERT INTO public.dictionary VALUES ('sweeps', 0, '', 'table', 'Sweeps that were planned.');
INSERT INTO public.dictionary VALUES ('sweeps', 1, 'id', 'text, key', 'content hash of the spec');
INSERT INTO public.dictionary VALUES ('sweeps', 2, 'name', 'text', 'name of the sweep');
INSERT INTO public.dictionary VALUES ('sweeps', 3, 'spec', 'text', 'what was asked for, as canonical JSON');
INSERT INTO public.dictionary VALUES ('sweeps', 4, 'created', 'float', 'when the row was added, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('bars', 0, '', 'table', 'What any model has to beat on a data set: simple densities and lossless codecs.');
INSERT INTO public.dictionary VALUES ('bars', 1, 'data_digest', 'text, key, in data_sets.digest', 'the exact data set');
INSERT INTO public.dictionary VALUES ('bars', 2, 'name', 'text, key', '''gaussian'', ''full-gaussian'', ''png'' or ''webp''');
INSERT INTO public.dictionary VALUES ('bars', 3, 'bits_per_dim', 'float or null', 'bits per dimension on the test part, null if left out');
INSERT INTO public.dictionary VALUES ('bars', 4, 'standard_error', 'float or null', 'standard error over images or clusters');
INSERT INTO public.dictionary VALUES ('bars', 5, 'images', 'integer', 'number of test images');
INSERT INTO public.dictionary VALUES ('bars', 6, 'detail', 'text', 'what was done, or why it is left out');
INSERT INTO public.dictionary VALUES ('cells', 0, '', 'table', 'Results summed up over seeds, kept in the transaction that adds a result.');
INSERT INTO public.dictionary VALUES ('cells', 1, 'id', 'text, key', 'content hash of what its results share: all of them but the seed');
INSERT INTO public.dictionary VALUES ('cells', 2, 'comparable', 'text', 'hash of data set, variant, content, protocol and precision: results that differ in it are not to be ranked together');
INSERT INTO public.dictionary VALUES ('cells', 3, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('cells', 4, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('cells', 5, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('cells', 6, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('cells', 7, 'data_digest', 'text, in data_sets.digest', 'the exact data set');
INSERT INTO public.dictionary VALUES ('cells', 8, 'recipe_id', 'text, in recipes.id', 'the recipe');
INSERT INTO public.dictionary VALUES ('cells', 9, 'factorization', 'text', 'canonical name of the factorization');
INSERT INTO public.dictionary VALUES ('cells', 10, 'budget', 'integer or null', 'pretraining steps behind the maps, null where no map is used');
INSERT INTO public.dictionary VALUES ('cells', 11, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map');
INSERT INTO public.dictionary VALUES ('cells', 12, 'protocol', 'text', 'name of the evaluation protocol');
INSERT INTO public.dictionary VALUES ('cells', 13, 'precision', 'text', 'number format of the evaluation');
INSERT INTO public.dictionary VALUES ('cells', 14, 'seeds', 'integer', 'number of results');
INSERT INTO public.dictionary VALUES ('cells', 15, 'mean', 'float', 'mean bits per dimension on the test part over seeds');
INSERT INTO public.dictionary VALUES ('cells', 16, 'squared_deviations', 'float', 'sum over seeds of squared deviations from the mean');
INSERT INTO public.dictionary VALUES ('cells', 17, 'least', 'float', 'bits per dimension of the best seed');
INSERT INTO public.dictionary VALUES ('cells', 18, 'greatest', 'float', 'bits per dimension of the worst seed');
INSERT INTO public.dictionary VALUES ('cells', 19, 'holdout_mean', 'float', 'mean bits per dimension on the holdout part over seeds');
INSERT INTO public.dictionary VALUES ('cells', 20, 'holdout_squared_deviations', 'float', 'sum over seeds of squared deviations from holdout_mean');
INSERT INTO public.dictionary VALUES ('pretrainings', 0, '', 'table', 'Runs of a flow with no splits, whose contribution maps serve the trials.');
INSERT INTO public.dictionary VALUES ('pretrainings', 1, 'id', 'text, key', 'content hash of recipe, data set, variant and seed');
INSERT INTO public.dictionary VALUES ('pretrainings', 2, 'recipe_id', 'text, in recipes.id', 'its recipe');
INSERT INTO public.dictionary VALUES ('pretrainings', 3, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('pretrainings', 4, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('pretrainings', 5, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('pretrainings', 6, 'seed', 'integer', 'seed of everything random in the run');
INSERT INTO public.dictionary VALUES ('pretrainings', 7, 'nms', 'text', 'the flow without splits: ''squeezed'' between scales, or ''flat'' at full size throughout');
INSERT INTO public.dictionary VALUES ('flow_trials', 0, '', 'table', 'Trials: a recipe on a data set with one factorization and one seed.');
INSERT INTO public.dictionary VALUES ('flow_trials', 1, 'id', 'text, key', 'content hash of exactly what defines the trial');
INSERT INTO public.dictionary VALUES ('flow_trials', 2, 'recipe_id', 'text, in recipes.id', 'its recipe');
INSERT INTO public.dictionary VALUES ('flow_trials', 3, 'flow', 'text', 'name of the flow');
INSERT INTO public.dictionary VALUES ('flow_trials', 4, 'profile', 'text', 'profile of the recipe');
INSERT INTO public.dictionary VALUES ('flow_trials', 5, 'dataset', 'text', 'name of the data set');
INSERT INTO public.dictionary VALUES ('flow_trials', 6, 'variant', 'text', 'variant of the data set');
INSERT INTO public.dictionary VALUES ('flow_trials', 7, 'factorization', 'text', 'canonical name of the factorization, such as ''LLL''');
INSERT INTO public.dictionary VALUES ('flow_trials', 8, 'seed', 'integer', 'seed of everything random in the run');
INSERT INTO public.dictionary VALUES ('flow_trials', 9, 'budget', 'integer or null', 'pretraining steps behind the maps, null where no map is used');
INSERT INTO public.dictionary VALUES ('flow_trials', 10, 'pretraining_id', 'text or null, in pretrainings.id', 'pretraining whose maps are used, null where no map is');
INSERT INTO public.dictionary VALUES ('flow_trials', 11, 'map_options', 'text or null', 'options of the map as JSON, null for the default or no map; of a plug-in''s rule its version too, as `{"rule": "sha256:..."}`');
INSERT INTO public.dictionary VALUES ('jobs', 0, '', 'table', 'Units of work: a trial, or one segment of a pretraining, on one exact data set.');
INSERT INTO public.dictionary VALUES ('jobs', 1, 'id', 'text, key', 'content hash of kind, subject, budget and data');
INSERT INTO public.dictionary VALUES ('jobs', 2, 'kind', 'text', '''pretraining'' or ''trial''');
INSERT INTO public.dictionary VALUES ('jobs', 3, 'pretraining_id', 'text or null, in pretrainings.id', 'the pretraining this is a segment of, null for a trial');
INSERT INTO public.dictionary VALUES ('jobs', 4, 'trial_id', 'text or null, in flow_trials.id', 'the trial, null for a pretraining');
INSERT INTO public.dictionary VALUES ('jobs', 5, 'budget', 'integer or null', 'training step at which the segment ends, null for a trial');
INSERT INTO public.dictionary VALUES ('jobs', 6, 'data_digest', 'text, in data_sets.digest', 'the exact data set it runs on');
INSERT INTO public.dictionary VALUES ('jobs', 7, 'state', 'text', '''pending'', ''running'', ''done'', ''diverged'' or ''failed''');
INSERT INTO public.dictionary VALUES ('jobs', 8, 'steps', 'integer', 'training step at which the job is done');
INSERT INTO public.dictionary VALUES ('jobs', 9, 'step', 'integer', 'training step last reported');
INSERT INTO public.dictionary VALUES ('jobs', 10, 'token', 'integer', 'number of attempts so far; a claim''s writes count under its own token only');
INSERT INTO public.dictionary VALUES ('jobs', 11, 'attempt_id', 'integer or null', 'its latest claim''s attempt (attempts.id), null before the first');
INSERT INTO public.dictionary VALUES ('jobs', 12, 'owner', 'text or null', 'launch that holds the job, null unless running');
INSERT INTO public.dictionary VALUES ('jobs', 13, 'host', 'text or null', 'machine it runs on, null unless running');
INSERT INTO public.dictionary VALUES ('jobs', 14, 'pid', 'integer or null', 'process it runs in, null unless running');
INSERT INTO public.dictionary VALUES ('jobs', 15, 'lease_until', 'float or null', 'when the lease ends, Unix seconds UTC, null unless running');
INSERT INTO public.dictionary VALUES ('jobs', 16, 'updated', 'float', 'when the row last changed, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('sweep_trials', 0, '', 'table', 'Which trials a sweep has, under the names that it asked for.');
INSERT INTO public.dictionary VALUES ('sweep_trials', 1, 'sweep_id', 'text, key, in sweeps.id', 'the sweep');
INSERT INTO public.dictionary VALUES ('sweep_trials', 2, 'trial_id', 'text, key, in flow_trials.id', 'a trial of the sweep');
INSERT INTO public.dictionary VALUES ('sweep_trials', 3, 'factorization', 'text, key', 'the factorization''s name as it was asked for, such as ''low''');
INSERT INTO public.dictionary VALUES ('table_overlaps', 0, '', 'table', 'Overlaps of the tables of trials that differ in seed or budget alone, both ways.');
INSERT INTO public.dictionary VALUES ('table_overlaps', 1, 'trial_id', 'text, key, in flow_trials.id', 'a trial');
INSERT INTO public.dictionary VALUES ('table_overlaps', 2, 'other_trial_id', 'text, key, in flow_trials.id', 'another one');
INSERT INTO public.dictionary VALUES ('table_overlaps', 3, 'data_digest', 'text, key, in data_sets.digest', 'the exact data set');
INSERT INTO public.dictionary VALUES ('table_overlaps', 4, 'split', 'integer, key', 'the split, from 1');
INSERT INTO public.dictionary VALUES ('table_overlaps', 5, 'differs', 'text', 'in what the two trials differ: ''seed'' or ''budget''');
INSERT INTO public.dictionary VALUES ('table_overlaps', 6, 'iou', 'float', 'overlap (intersection over union) of the dimensions that are there after the split');
INSERT INTO public.dictionary VALUES ('artifacts', 0, '', 'table', 'Files that jobs left, kept outside the database.');
INSERT INTO public.dictionary VALUES ('artifacts', 1, 'id', 'integer, key', 'running number');
INSERT INTO public.dictionary VALUES ('artifacts', 2, 'job_id', 'text, in jobs.id', 'the job');
INSERT INTO public.dictionary VALUES ('artifacts', 3, 'kind', 'text', 'what it is: ''checkpoint'', ''weights'', ''samples'' and the like');
INSERT INTO public.dictionary VALUES ('artifacts', 4, 'path', 'text', 'where it is, under the launch''s storage folder');
INSERT INTO public.dictionary VALUES ('artifacts', 5, 'place', 'text or null', 'host and storage folder of the launch, as HOST:FOLDER; null if it was made before schema 0005');
INSERT INTO public.dictionary VALUES ('artifacts', 6, 'bytes', 'integer', 'length in bytes');
INSERT INTO public.dictionary VALUES ('artifacts', 7, 'digest', 'text', 'sha256 of the file');
INSERT INTO public.dictionary VALUES ('artifacts', 8, 'created', 'float', 'when the row was added, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('attempts', 0, '', 'table', 'Executions of jobs, and evaluations of what they left, each ended by one outcome.');
INSERT INTO public.dictionary VALUES ('attempts', 1, 'id', 'integer, key', 'running number');
INSERT INTO public.dictionary VALUES ('attempts', 2, 'job_id', 'text, in jobs.id', 'the job');
INSERT INTO public.dictionary VALUES ('attempts', 3, 'token', 'integer', 'which attempt at the job this is, from 1');
INSERT INTO public.dictionary VALUES ('attempts', 4, 'owner', 'text', 'launch that ran it');
INSERT INTO public.dictionary VALUES ('attempts', 5, 'host', 'text', 'machine it ran on');
INSERT INTO public.dictionary VALUES ('attempts', 6, 'environment_id', 'text, in environments.id', 'versions and hardware it ran with');
INSERT INTO public.dictionary VALUES ('attempts', 7, 'device', 'text', 'device it ran on, such as ''cpu'' or ''cuda:0''');
INSERT INTO public.dictionary VALUES ('attempts', 8, 'threads', 'integer', 'number of CPU threads');
INSERT INTO public.dictionary VALUES ('attempts', 9, 'started', 'float', 'when it started, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('attempts', 10, 'ended', 'float or null', 'when it ended, Unix seconds UTC, null while it runs');
INSERT INTO public.dictionary VALUES ('attempts', 11, 'outcome', 'text or null', 'how it ended: done, pruned, diverged, oom, preempted, node_lost, timeout, code_error, cancelled; null while it runs');
INSERT INTO public.dictionary VALUES ('attempts', 12, 'message', 'text', 'what went wrong in a line or more, empty when nothing did');
INSERT INTO public.dictionary VALUES ('attempts', 13, 'first_step', 'integer', 'training step from which it went on');
INSERT INTO public.dictionary VALUES ('attempts', 14, 'last_step', 'integer', 'training step it reached');
INSERT INTO public.dictionary VALUES ('attempts', 15, 'seconds', 'float or null', 'wall-clock seconds, null when it ended without a report');
INSERT INTO public.dictionary VALUES ('attempts', 16, 'cpu_seconds', 'float or null', 'CPU seconds, null when it ended without a report');
INSERT INTO public.dictionary VALUES ('attempts', 17, 'images_per_second', 'float or null', 'training images per second, null when not measured');
INSERT INTO public.dictionary VALUES ('attempts', 18, 'peak_memory', 'integer or null', 'peak memory in bytes, null when not measured');
INSERT INTO public.dictionary VALUES ('attempts', 19, 'protocol', 'text or null', 'protocol by which it evaluated the weights that the job had left, without a claim and without training; null for an attempt at the job itself');
INSERT INTO public.dictionary VALUES ('attempts', 20, 'data_wait', 'float or null', 'share of the time of its training steps that went on waiting for images, 0 to 1; null when it made no step or was made before schema 0004');
INSERT INTO public.dictionary VALUES ('attempts', 21, 'devices', 'text or null', 'devices granted to it, as the driver names them, with commas between; null on a CPU');
INSERT INTO public.dictionary VALUES ('attempts', 22, 'gpu_seconds', 'float or null', 'wall-clock seconds times the share of a GPU that it held; null on a CPU, and when it ended without a report');
INSERT INTO public.dictionary VALUES ('attempts', 23, 'lease_seconds', 'float or null', 'how long its lease was, seconds; null if it was made before schema 0005, and without a claim');
INSERT INTO public.dictionary VALUES ('attempts', 24, 'log', 'text or null', 'what it had to say while it ran, the last of it; null when it ended without a report');
INSERT INTO public.dictionary VALUES ('curves', 0, '', 'table', 'What was measured while a job trained; the points are in metrics.');
INSERT INTO public.dictionary VALUES ('curves', 1, 'id', 'integer, key', 'running number');
INSERT INTO public.dictionary VALUES ('curves', 2, 'job_id', 'text, in jobs.id', 'the job');
INSERT INTO public.dictionary VALUES ('curves', 3, 'name', 'text', 'what is measured, such as ''train_bits_per_dim''');
INSERT INTO public.dictionary VALUES ('events', 0, '', 'table', 'What happened when: every transition of a job, and what was added at once.');
INSERT INTO public.dictionary VALUES ('events', 1, 'id', 'integer, key', 'running number');
INSERT INTO public.dictionary VALUES ('events', 2, 'time', 'float', 'when, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('events', 3, 'event', 'text', 'a transition of a job (done, pruned, diverged, oom, preempted, node_lost, timeout, code_error, cancelled, claim, retry); or that a plan was registered (''register''), kept weights evaluated (''evaluate''), another database merged (''merge'')');
INSERT INTO public.dictionary VALUES ('events', 4, 'job_id', 'text or null, in jobs.id', 'the job, null where it is about none');
INSERT INTO public.dictionary VALUES ('events', 5, 'attempt_id', 'integer or null', 'the attempt, null where it is about none');
INSERT INTO public.dictionary VALUES ('events', 6, 'owner', 'text or null', 'launch or person, null where it is not known');
INSERT INTO public.dictionary VALUES ('events', 7, 'detail', 'text', 'what more there is to say, may be empty');
INSERT INTO public.dictionary VALUES ('contribution_maps', 0, '', 'table', 'Contribution maps: what each dimension adds to the log-det before a split. Windows are those of the flow without splits at that place.');
INSERT INTO public.dictionary VALUES ('contribution_maps', 1, 'id', 'integer, key', 'running number');
INSERT INTO public.dictionary VALUES ('contribution_maps', 2, 'pretraining_id', 'text, in pretrainings.id', 'the pretraining');
INSERT INTO public.dictionary VALUES ('contribution_maps', 3, 'data_digest', 'text, in data_sets.digest', 'the exact data set');
INSERT INTO public.dictionary VALUES ('contribution_maps', 4, 'budget', 'integer', 'training step at which the map was taken');
INSERT INTO public.dictionary VALUES ('contribution_maps', 5, 'split', 'integer', 'split before which the map is taken, from 1');
INSERT INTO public.dictionary VALUES ('contribution_maps', 6, 'score', 'text', '''cumulative'': log-det up to the split; ''normalized'': less half the log variance of the dimension''s value there; ''total'': log-det of all layers');
INSERT INTO public.dictionary VALUES ('contribution_maps', 7, 'channels', 'integer', 'channels of the map');
INSERT INTO public.dictionary VALUES ('contribution_maps', 8, 'height', 'integer', 'height of the map in pixels');
INSERT INTO public.dictionary VALUES ('contribution_maps', 9, 'width', 'integer', 'width of the map in pixels');
INSERT INTO public.dictionary VALUES ('contribution_maps', 10, 'dtype', 'text', 'type of an entry: ''<f4'', little-endian float32');
INSERT INTO public.dictionary VALUES ('contribution_maps', 11, 'values', 'bytes', 'mean score in nats of each dimension; (C, H, W), C order; a keyword, to be quoted');
INSERT INTO public.dictionary VALUES ('contribution_maps', 12, 'standard_errors', 'bytes', 'standard errors of the values, laid out alike');
INSERT INTO public.dictionary VALUES ('contribution_maps', 13, 'digest', 'text', 'sha256 of `values`');
INSERT INTO public.dictionary VALUES ('contribution_maps', 14, 'images', 'integer', 'number of images averaged over');
INSERT INTO public.dictionary VALUES ('contribution_maps', 15, 'mean_log_det', 'float', 'scalar that the map sums to, nats per image, summed apart');
INSERT INTO public.dictionary VALUES ('contribution_maps', 16, 'sum_error', 'float', '|sum of values - mean_log_det| / sum of |values|');
INSERT INTO public.dictionary VALUES ('contribution_maps', 17, 'clusters', 'integer or null', 'clusters behind the standard errors, null for none');
INSERT INTO public.dictionary VALUES ('contribution_maps', 18, 'attempt_id', 'integer, in attempts.id', 'attempt that made it');
INSERT INTO public.dictionary VALUES ('contribution_maps', 19, 'halves', 'bytes or null', 'the map from two halves of the images (alternating ones, or alternating clusters), (2, C, H, W), laid out alike; null if it was made before schema 0002');
INSERT INTO public.dictionary VALUES ('contribution_maps', 20, 'mask_share', 'float or null', 'share of the variance inside 2x2 windows that channel and position explain, 0 to 1; null where it cannot be known, and null if it was made before schema 0002');
INSERT INTO public.dictionary VALUES ('contribution_maps', 21, 'mask_share_by_chance', 'float or null', 'what mask_share is on average for a map with none; null if it was made before schema 0002');
INSERT INTO public.dictionary VALUES ('contribution_maps', 22, 'standard_error', 'float or null', 'root mean square of standard_errors, nats; null where it cannot be known, and null if it was made before schema 0002');
INSERT INTO public.dictionary VALUES ('contribution_maps', 23, 'rank_gap', 'float or null', 'median over windows of the second value less the third, nats; null if it was made before schema 0002');
INSERT INTO public.dictionary VALUES ('contribution_maps', 24, 'error_to_gap', 'float or null', 'standard_error / rank_gap; null where it cannot be known, and null if it was made before schema 0002');
INSERT INTO public.dictionary VALUES ('contribution_maps', 25, 'unresolved', 'float or null', 'share of windows whose gap between ranks two and three is at most two standard errors; null where it cannot be known, and null if it was made before schema 0002');
INSERT INTO public.dictionary VALUES ('contribution_maps', 26, 'tied', 'float or null', 'share of windows in which ranks two and three are equal, so that raster order decides; null if it was made before schema 0002');
INSERT INTO public.dictionary VALUES ('index_tables', 0, '', 'table', 'Index tables of trained trials, split by split: what stays, and what it looks like.');
INSERT INTO public.dictionary VALUES ('index_tables', 1, 'trial_id', 'text, key, in flow_trials.id', 'the trial');
INSERT INTO public.dictionary VALUES ('index_tables', 2, 'data_digest', 'text, key, in data_sets.digest', 'the exact data set');
INSERT INTO public.dictionary VALUES ('index_tables', 3, 'split', 'integer, key', 'the split, from 1');
INSERT INTO public.dictionary VALUES ('index_tables', 4, 'channels', 'integer', 'channels of the image');
INSERT INTO public.dictionary VALUES ('index_tables', 5, 'height', 'integer', 'height of the image in pixels');
INSERT INTO public.dictionary VALUES ('index_tables', 6, 'width', 'integer', 'width of the image in pixels');
INSERT INTO public.dictionary VALUES ('index_tables', 7, 'kept', 'bytes', 'which dimensions are there after the split: a bit each, (C, H, W) of the image, C order, first bit highest');
INSERT INTO public.dictionary VALUES ('index_tables', 8, 'digest', 'text', 'sha256 of the split''s permutation, little-endian int64');
INSERT INTO public.dictionary VALUES ('index_tables', 9, 'iou_even', 'float', 'overlap (intersection over union) of what stays with checkerboard-even at this split; 1/3 by chance');
INSERT INTO public.dictionary VALUES ('index_tables', 10, 'iou_odd', 'float', 'the same with checkerboard-odd');
INSERT INTO public.dictionary VALUES ('index_tables', 11, 'purity', 'float', 'lattice purity: share of windows with the most common pattern of what stays; from 1/6 where all six patterns are alike, to 1');
INSERT INTO public.dictionary VALUES ('index_tables', 12, 'channel_purity', 'float', 'the same for each channel apart, averaged');
INSERT INTO public.dictionary VALUES ('index_tables', 13, 'mask_share', 'float or null', 'share of the variance of the map inside the windows that this split sees, that channel and position explain; null without a map or variance');
INSERT INTO public.dictionary VALUES ('index_tables', 14, 'mask_share_by_chance', 'float or null', 'what mask_share is on average for a map with none');
INSERT INTO public.dictionary VALUES ('index_tables', 15, 'tied', 'float or null', 'share of windows in which ranks two and three of the map are equal; null without a map');
INSERT INTO public.dictionary VALUES ('index_tables', 16, 'agreement', 'float or null', 'overlap of what stays after the split between the tables of two halves of the data; null without a map');
INSERT INTO public.dictionary VALUES ('index_tables', 17, 'attempt_id', 'integer, in attempts.id', 'attempt that used it');
INSERT INTO public.dictionary VALUES ('results', 0, '', 'table', 'Evaluated trials: one row for each trial, exact data set and protocol.');
INSERT INTO public.dictionary VALUES ('results', 1, 'id', 'text, key', 'content hash of the result without bound and series');
INSERT INTO public.dictionary VALUES ('results', 2, 'trial_id', 'text, in flow_trials.id', 'the trial');
INSERT INTO public.dictionary VALUES ('results', 3, 'data_digest', 'text, in data_sets.digest', 'the exact data set');
INSERT INTO public.dictionary VALUES ('results', 4, 'protocol', 'text', 'name of the evaluation protocol, such as ''plain''');
INSERT INTO public.dictionary VALUES ('results', 5, 'protocol_body', 'text', 'the whole protocol as JSON');
INSERT INTO public.dictionary VALUES ('results', 6, 'precision', 'text', 'number format of the evaluation, such as ''float32''');
INSERT INTO public.dictionary VALUES ('results', 7, 'step', 'integer', 'training step of the evaluated weights');
INSERT INTO public.dictionary VALUES ('results', 8, 'bits_per_dim', 'float', 'bits per dimension on the test part');
INSERT INTO public.dictionary VALUES ('results', 9, 'standard_error', 'float or null', 'standard error of bits_per_dim over images or clusters, null for a single one');
INSERT INTO public.dictionary VALUES ('results', 10, 'clusters', 'integer or null', 'clusters behind the standard errors, null for none');
INSERT INTO public.dictionary VALUES ('results', 11, 'images', 'integer', 'number of test images');
INSERT INTO public.dictionary VALUES ('results', 12, 'holdout_bits_per_dim', 'float', 'bits per dimension on the holdout part');
INSERT INTO public.dictionary VALUES ('results', 13, 'holdout_standard_error', 'float or null', 'standard error of holdout_bits_per_dim, null for a single image or cluster');
INSERT INTO public.dictionary VALUES ('results', 14, 'train_bits_per_dim', 'float or null', 'bits per dimension on train, null when not taken');
INSERT INTO public.dictionary VALUES ('results', 15, 'log_det', 'float', 'mean log-det on the test part, nats per image');
INSERT INTO public.dictionary VALUES ('results', 16, 'log_prior', 'float', 'mean log-density of the latents there, nats per image');
INSERT INTO public.dictionary VALUES ('results', 17, 'attempt_id', 'integer, in attempts.id', 'attempt that made it');
INSERT INTO public.dictionary VALUES ('results', 18, 'created', 'float', 'when the row was added, Unix seconds UTC');
INSERT INTO public.dictionary VALUES ('results', 19, 'bound_draws', 'integer or null', 'K, dequantization draws of the importance-weighted bound; null when not taken');
INSERT INTO public.dictionary VALUES ('results', 20, 'bound_images', 'integer or null', 'first test images that the bound is over; null when not taken');
INSERT INTO public.dictionary VALUES ('results', 21, 'bound_bits_per_dim', 'float or null', 'bits per dimension of -log of the mean likelihood over K draws, on those images; null when not taken');
INSERT INTO public.dictionary VALUES ('results', 22, 'bound_gain', 'float or null', 'by how much that is below the bits per dimension of one draw on the same images; null when not taken');
INSERT INTO public.dictionary VALUES ('results', 23, 'series_terms', 'integer or null', 'exact terms of the power series of residual blocks; null for a flow without them');
INSERT INTO public.dictionary VALUES ('results', 24, 'series_bias', 'float or null', 'bits per dimension less those at twice as many terms with the same probes, on the first 200 test images; null without a series, and where roulette leaves no bias');
INSERT INTO public.dictionary VALUES ('results', 25, 'series_bias_standard_error', 'float or null', 'standard error of series_bias over images or clusters, null with it or for one image');
INSERT INTO public.dictionary VALUES ('results', 26, 'seed', 'integer', 'seed of the trial');
INSERT INTO public.dictionary VALUES ('results', 27, 'cell_id', 'text, in cells.id', 'what it is a seed of');


--
-- Data for Name: environments; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.environments VALUES ('732c1f0a422fdef3e754614fc1fce95daf723be8bf9c733d715c84f53dd50d81', '0.1.0+4988302', NULL, '3.11.9', '2.6.0+cu124', 'Linux x86_64', 'Xeon® Gold 6338', 'AVX512', '{"numpy":"2.0.1","ray":"2.50.0"}', 1767225601.25, NULL, '{"cudnn_tf32":false,"mkldnn":true}');
INSERT INTO public.environments VALUES ('c4d34da51495ec2720da3029e936d152b0e81f8782c950dd3fbfe752c3577e94', '0.1.0+4988302', 'd0c92c764c5647d43d7166efc3e7d350751de063c1388bd2e113fab4865529d3', '3.11.9', '2.6.0+cu124', 'Linux x86_64', 'NVIDIA A100-SXM4-80GB', 'AVX512', '{"numpy":"2.0.1","ray":"2.50.0"}', 1767225602.25, '550.54.15', '{"cudnn_tf32":false,"mkldnn":true}');


--
-- Data for Name: events; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.events VALUES (1, 1767225600.25, 'register', NULL, NULL, NULL, 'sweep words dba36bffa5cab0f922d087a3aeb179f9d4e745df40b323e1b1471402848c8a3e, 19 jobs');
INSERT INTO public.events VALUES (2, 1767225600.25, 'register', NULL, NULL, NULL, 'sweep Größe aedc3f80989a6546962705852b2f4a481dbd1e490760693525c3724bacab3f50, 19 jobs');
INSERT INTO public.events VALUES (3, 1767225612.25, 'claim', '4020cba4d4652c65c0ddbd76cd4dfc1d74993f0bb4d95b7aef1c175bd8d8a30d', 1, 'launch-7f3a', '');
INSERT INTO public.events VALUES (4, 1767225673.95, 'done', '4020cba4d4652c65c0ddbd76cd4dfc1d74993f0bb4d95b7aef1c175bd8d8a30d', 1, 'launch-7f3a', '');
INSERT INTO public.events VALUES (5, 1767225683.95, 'claim', '6e41df76e58b4f5986db9ad6628edf20f0e3be8ef3d324248a4cffbd7d6fb377', 2, 'launch-7f3a', '');
INSERT INTO public.events VALUES (6, 1767225745.65, 'done', '6e41df76e58b4f5986db9ad6628edf20f0e3be8ef3d324248a4cffbd7d6fb377', 2, 'launch-7f3a', '');
INSERT INTO public.events VALUES (7, 1767225755.65, 'claim', '3c78109ed60d695ca983a2afe9df84f7288b70c7de96b39057b667ab5bf22389', 3, 'launch-7f3a', '');
INSERT INTO public.events VALUES (8, 1767225817.3500001, 'done', '3c78109ed60d695ca983a2afe9df84f7288b70c7de96b39057b667ab5bf22389', 3, 'launch-7f3a', '');
INSERT INTO public.events VALUES (9, 1767225827.3500001, 'claim', 'f04d3612c5c6c2be0b92cf3e67299f8842b4894186b0f004f057e89bac834e1e', 4, 'launch-7f3a', '');
INSERT INTO public.events VALUES (10, 1767225842.3500001, 'claim', '520b07f8db538eed91e7b76ea89445497bfb980a82b0e12ebe1ed02f7059ebb0', 5, 'launch-7f3a', '');
INSERT INTO public.events VALUES (11, 1767225904.0500002, 'done', '520b07f8db538eed91e7b76ea89445497bfb980a82b0e12ebe1ed02f7059ebb0', 5, 'launch-7f3a', '');
INSERT INTO public.events VALUES (12, 1767225914.0500002, 'claim', '33371d6f0649b83b88b39a21cc848e53627a737014eae783aea053ae5c6e113a', 6, 'launch-7f3a', '');
INSERT INTO public.events VALUES (13, 1767225975.7500002, 'done', '33371d6f0649b83b88b39a21cc848e53627a737014eae783aea053ae5c6e113a', 6, 'launch-7f3a', '');
INSERT INTO public.events VALUES (14, 1767225985.7500002, 'claim', 'c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 7, 'launch-7f3a', '');
INSERT INTO public.events VALUES (15, 1767226047.4500003, 'done', 'c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 7, 'launch-7f3a', '');
INSERT INTO public.events VALUES (16, 1767226057.4500003, 'claim', '4e3628453168b3c176a1a05e93fb5d871a5344b108b0d5815d2521dfd253f848', 8, 'launch-7f3a', '');
INSERT INTO public.events VALUES (17, 1767226119.1500003, 'done', '4e3628453168b3c176a1a05e93fb5d871a5344b108b0d5815d2521dfd253f848', 8, 'launch-7f3a', '');
INSERT INTO public.events VALUES (18, 1767226129.1500003, 'claim', 'fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 9, 'launch-7f3a', '');
INSERT INTO public.events VALUES (19, 1767226190.8500004, 'done', 'fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 9, 'launch-7f3a', '');
INSERT INTO public.events VALUES (20, 1767226200.8500004, 'claim', '2c033368510051833f60439d60b941b60e83ee569c1e6061ad85dd2d1e11b259', 10, 'launch-7f3a', '');
INSERT INTO public.events VALUES (21, 1767226215.8500004, 'claim', '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 11, 'launch-7f3a', '');
INSERT INTO public.events VALUES (22, 1767226277.5500004, 'preempted', '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 11, 'launch-7f3a', '');
INSERT INTO public.events VALUES (23, 1767226287.5500004, 'claim', '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 12, 'launch-7f3a', '');
INSERT INTO public.events VALUES (24, 1767226349.2500005, 'node_lost', '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 12, 'launch-7f3a', '');
INSERT INTO public.events VALUES (25, 1767226359.2500005, 'claim', '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 13, 'launch-7f3a', '');
INSERT INTO public.events VALUES (26, 1767226420.9500005, 'cancelled', '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 13, 'launch-7f3a', '');
INSERT INTO public.events VALUES (27, 1767226430.9500005, 'claim', '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 14, 'launch-7f3a', '');
INSERT INTO public.events VALUES (28, 1767226492.6500006, 'pruned', '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 14, 'launch-7f3a', '');
INSERT INTO public.events VALUES (29, 1767226502.6500006, 'claim', '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 15, 'launch-7f3a', '');
INSERT INTO public.events VALUES (30, 1767226512.6500006, 'node_lost', '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 15, 'launch-7f3a', '');
INSERT INTO public.events VALUES (31, 1767226512.6500006, 'claim', '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 16, 'launch-7f3a', '');
INSERT INTO public.events VALUES (32, 1767226574.3500006, 'done', '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 16, 'launch-7f3a', '');
INSERT INTO public.events VALUES (33, 1767226584.3500006, 'claim', 'e46db273410c7eb30bdd03fa6b79195812092cbf7fd689b8a049e688094cb9f2', 17, 'launch-7f3a', '');
INSERT INTO public.events VALUES (34, 1767226646.0500007, 'oom', 'e46db273410c7eb30bdd03fa6b79195812092cbf7fd689b8a049e688094cb9f2', 17, 'launch-7f3a', '');
INSERT INTO public.events VALUES (35, 1767226656.0500007, 'claim', '2811b97f043d3af1de47a418673a23ce2537a3cdb3fe03be88963dcb89b5cf4b', 18, 'launch-7f3a', '');
INSERT INTO public.events VALUES (36, 1767226717.7500007, 'timeout', '2811b97f043d3af1de47a418673a23ce2537a3cdb3fe03be88963dcb89b5cf4b', 18, 'launch-7f3a', '');
INSERT INTO public.events VALUES (37, 1767226727.7500007, 'claim', 'a16c422b79b8996024f657d956c19360b155c0a0ce24c6abc83ad9ce30bd7445', 19, 'launch-7f3a', '');
INSERT INTO public.events VALUES (38, 1767226789.4500008, 'code_error', 'a16c422b79b8996024f657d956c19360b155c0a0ce24c6abc83ad9ce30bd7445', 19, 'launch-7f3a', '');
INSERT INTO public.events VALUES (39, 1767226799.4500008, 'claim', 'f2103b3454cd910e7c49f1a1a169e45886564406aac18ca574cbaba4a463f4f4', 20, 'launch-7f3a', '');
INSERT INTO public.events VALUES (40, 1767226861.1500008, 'oom', 'f2103b3454cd910e7c49f1a1a169e45886564406aac18ca574cbaba4a463f4f4', 20, 'launch-7f3a', '');
INSERT INTO public.events VALUES (41, 1767226871.1500008, 'claim', '2bc8b5ebdc0a1e84999ae6d9bfcccde52cc170adb0cf8d31d010a4da3192d707', 21, 'launch-7f3a', '');
INSERT INTO public.events VALUES (42, 1767226932.8500009, 'diverged', '2bc8b5ebdc0a1e84999ae6d9bfcccde52cc170adb0cf8d31d010a4da3192d707', 21, 'launch-7f3a', '');
INSERT INTO public.events VALUES (43, 1767226933.8500009, 'retry', 'f2103b3454cd910e7c49f1a1a169e45886564406aac18ca574cbaba4a463f4f4', 20, NULL, '');
INSERT INTO public.events VALUES (44, 1767226942.3500009, 'evaluate', 'c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 22, 'evaluator', 'published');
INSERT INTO public.events VALUES (45, 1767226950.8500009, 'evaluate', 'fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 23, 'evaluator', 'published');


--
-- Data for Name: flow_trials; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.flow_trials VALUES ('86ef333b22415b3bef884b19e19364193ed1756c0f279ad0df34a48835d0a744', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 'photos8', 'u8', 'channel', 0, NULL, NULL, NULL);
INSERT INTO public.flow_trials VALUES ('023ac31fb7f3c8d947f50a96d1d1b422fcbc3b2d6b23f94b1d6eddd768fd2eb6', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 'photos8', 'u8', 'channel', 1, NULL, NULL, NULL);
INSERT INTO public.flow_trials VALUES ('e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 'photos8', 'u8', 'LL', 0, 100, '703f93c17808c781d70f05a15145285c5fcae70287665416cd8b843a14e8db26', NULL);
INSERT INTO public.flow_trials VALUES ('125d06b43c3fff4297f1b962fda9c1dd77296e4dc3a4bf1bf14d9725a7483cc7', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 'photos8', 'u8', 'LL', 0, 200, '703f93c17808c781d70f05a15145285c5fcae70287665416cd8b843a14e8db26', NULL);
INSERT INTO public.flow_trials VALUES ('50a19e2972352f4b02933a9ffda8ea091d2f0d96ebddd85204bfdebe20ee8595', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 'photos8', 'u8', 'HH', 0, 100, '703f93c17808c781d70f05a15145285c5fcae70287665416cd8b843a14e8db26', NULL);
INSERT INTO public.flow_trials VALUES ('c76ba3e8e535bb4e5df7c17dd60143d13a780cb0604336d6d598b8c8ed2f8af4', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 'photos8', 'u8', 'HL', 0, 100, '703f93c17808c781d70f05a15145285c5fcae70287665416cd8b843a14e8db26', '{"rule":"sha256:7369949b47ef2c6ba26fbbee659cedc76123a75c17d321a52d8d1ef35e948042"}');
INSERT INTO public.flow_trials VALUES ('d44ffb6675655f93e725015c008f56ca0bfc68daaa46a1554045df610afff380', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 'photos8', 'u8', 'LL', 1, 100, 'bc5f8209e57954a595b293149fc3744a43731d3e07d76abe49adbefeb22e5f1f', NULL);
INSERT INTO public.flow_trials VALUES ('4334055ee4d6e2ae1312c4d3068a59664c73b4b0e755e1e6689db04c73cd29db', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 'photos8', 'u8', 'random', 0, NULL, NULL, NULL);
INSERT INTO public.flow_trials VALUES ('9ba907446221375fd9658c3fa1cb0973f7d4d97d7487f30f18e473bfab8efd82', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 'photos8', 'u8', 'random', 1, NULL, NULL, NULL);
INSERT INTO public.flow_trials VALUES ('edc40e3b3e660967e13c35a41b413c87fd08ebc767288c6f2836d72f72fd54f8', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 'photos8', 'u8', 'random', 2, NULL, NULL, NULL);
INSERT INTO public.flow_trials VALUES ('1949aa1263e94fb912ed3eecb6268e57d4e5bb25449d2fe3095a88ccf473046e', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 'photos8', 'u8', 'random', 3, NULL, NULL, NULL);
INSERT INTO public.flow_trials VALUES ('6ff1a626e2b5021cbfa3111a7549cd59bce0b4ee63485fb588e4ae357bf21331', 'ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 'photos8', 'u8', 'random', 4, NULL, NULL, NULL);
INSERT INTO public.flow_trials VALUES ('95c6188e552fac1c53e0e5ee55624d093a8531513ee976da9c74bd218f4404a6', '6c3d786f3ef92bc35a01edf0769f9a0b6cd0bf2dc5dc27b5035348e3f4cdcfaf', 'realnvp', 'tiny', 'photos8', 'u8', 'none', 0, NULL, NULL, NULL);
INSERT INTO public.flow_trials VALUES ('3cbf73d3bcadee6d905a87c675c884af283cac3293dd55965d5efecd54f2a5fb', 'c205189a481bf5a63f631c0f5a510d700ce01120fc41837ed4e7c390f8b6a0d1', 'resflow', 'tiny', 'celeba8', 'f32', 'channel', 0, NULL, NULL, NULL);


--
-- Data for Name: index_tables; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.index_tables VALUES ('86ef333b22415b3bef884b19e19364193ed1756c0f279ad0df34a48835d0a744', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 1, 1, 8, 8, '\x555aaa5552aad556', 'd5c21755516ab9fdb688098f186228124f4d95730590fb8b561c469fe24eaa63', 0.3333333333333333, 0.35, 0.16666666666666666, 0.25, NULL, NULL, NULL, NULL, 5);
INSERT INTO public.index_tables VALUES ('86ef333b22415b3bef884b19e19364193ed1756c0f279ad0df34a48835d0a744', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 2, 1, 8, 8, '\x1450820410a28514', 'bfaae9a25634c15ee9625d7cf5941b08ada9363146fc5b53b1e55a6d99bcc267', 0.3333333333333333, 0.35, 0.16666666666666666, 0.25, NULL, NULL, NULL, NULL, 5);
INSERT INTO public.index_tables VALUES ('023ac31fb7f3c8d947f50a96d1d1b422fcbc3b2d6b23f94b1d6eddd768fd2eb6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 1, 1, 8, 8, '\x1c71c78e38e38f1c', '6be48732d83924fd00faec157cfc518e4620e7bfd2382d7ba14aa5438d07a607', 0.3333333333333333, 0.35, 0.16666666666666666, 0.25, NULL, NULL, NULL, NULL, 6);
INSERT INTO public.index_tables VALUES ('023ac31fb7f3c8d947f50a96d1d1b422fcbc3b2d6b23f94b1d6eddd768fd2eb6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 2, 1, 8, 8, '\x1861040208618618', 'c0b516e3ec1f3d5d58fec1263f3a99ef17e5db1c8ab9d9405fd461a8b9a52b8a', 0.3333333333333333, 0.35, 0.16666666666666666, 0.25, NULL, NULL, NULL, NULL, 6);
INSERT INTO public.index_tables VALUES ('e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 1, 1, 8, 8, '\x0f0f0f0f0f878787', '4d5d944ca9b5547acc5fca296aec661e53edf9620ce28eb3385dd2636a276162', 0.3333333333333333, 0.35, 0.16666666666666666, 0.25, 0.9, 0.0625, 0, 0.75, 7);
INSERT INTO public.index_tables VALUES ('e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 2, 1, 8, 8, '\x060a090d04820305', 'e28bf3fe2c0baf3d364448de758f0fd2e970b6be4101f554d34b04143ab8bbe2', 0.3333333333333333, 0.35, 0.16666666666666666, 0.25, 0.9, 0.0625, 0, 0.75, 7);
INSERT INTO public.index_tables VALUES ('125d06b43c3fff4297f1b962fda9c1dd77296e4dc3a4bf1bf14d9725a7483cc7', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 1, 1, 8, 8, '\xf0f078783c3c1e1e', '5a2a53a5b83a492dce2179c6ad9a011a2c89dfe0a125e65cdd3fafe3dc75ae06', 0.3333333333333333, 0.35, 0.16666666666666666, 0.25, 0.9, 0.0625, 0, 0.75, 8);
INSERT INTO public.index_tables VALUES ('125d06b43c3fff4297f1b962fda9c1dd77296e4dc3a4bf1bf14d9725a7483cc7', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 2, 1, 8, 8, '\x3030303030301818', '6cd21a5ffc04e52051cdee10bbb1908928df4ef2e03281c4c99bf000996adb18', 0.3333333333333333, 0.35, 0.16666666666666666, 0.25, 0.9, 0.0625, 0, 0.75, 8);
INSERT INTO public.index_tables VALUES ('3cbf73d3bcadee6d905a87c675c884af283cac3293dd55965d5efecd54f2a5fb', '605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 1, 1, 8, 8, '\x555aaa5552aad556', 'd5c21755516ab9fdb688098f186228124f4d95730590fb8b561c469fe24eaa63', 0.3333333333333333, 0.35, 0.16666666666666666, 0.25, NULL, NULL, NULL, NULL, 9);
INSERT INTO public.index_tables VALUES ('3cbf73d3bcadee6d905a87c675c884af283cac3293dd55965d5efecd54f2a5fb', '605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 2, 1, 8, 8, '\x1450820410a28514', 'bfaae9a25634c15ee9625d7cf5941b08ada9363146fc5b53b1e55a6d99bcc267', 0.3333333333333333, 0.35, 0.16666666666666666, 0.25, NULL, NULL, NULL, NULL, 9);
INSERT INTO public.index_tables VALUES ('50a19e2972352f4b02933a9ffda8ea091d2f0d96ebddd85204bfdebe20ee8595', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 1, 1, 8, 8, '\x0f0f0f0f0f878787', '4d5d944ca9b5547acc5fca296aec661e53edf9620ce28eb3385dd2636a276162', 0.3333333333333333, 0.35, 0.16666666666666666, 0.25, 0.9, 0.0625, 0, 0.75, 16);
INSERT INTO public.index_tables VALUES ('50a19e2972352f4b02933a9ffda8ea091d2f0d96ebddd85204bfdebe20ee8595', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 2, 1, 8, 8, '\x060a090d04820305', 'e28bf3fe2c0baf3d364448de758f0fd2e970b6be4101f554d34b04143ab8bbe2', 0.3333333333333333, 0.35, 0.16666666666666666, 0.25, 0.9, 0.0625, 0, 0.75, 16);


--
-- Data for Name: jobs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.jobs VALUES ('8f389fdad33324f419ac98b8da9b9b8371d282c4438227bcb902bfee9830f46f', 'pretraining', 'bc5f8209e57954a595b293149fc3744a43731d3e07d76abe49adbefeb22e5f1f', NULL, 200, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'pending', 200, 0, 0, NULL, NULL, NULL, NULL, NULL, 1767225600.25);
INSERT INTO public.jobs VALUES ('27f375dd74f0364ec2b3ac4332211910ea860604eaf0f6e50824d2a999bafcb0', 'trial', NULL, 'd44ffb6675655f93e725015c008f56ca0bfc68daaa46a1554045df610afff380', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'pending', 500, 0, 0, NULL, NULL, NULL, NULL, NULL, 1767225600.25);
INSERT INTO public.jobs VALUES ('b67b6467dcaaf1d508f60324780caf54aa627cfb9cd194f590833e43d5ac1c59', 'trial', NULL, '6ff1a626e2b5021cbfa3111a7549cd59bce0b4ee63485fb588e4ae357bf21331', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'pending', 500, 0, 0, NULL, NULL, NULL, NULL, NULL, 1767225600.25);
INSERT INTO public.jobs VALUES ('4020cba4d4652c65c0ddbd76cd4dfc1d74993f0bb4d95b7aef1c175bd8d8a30d', 'pretraining', '703f93c17808c781d70f05a15145285c5fcae70287665416cd8b843a14e8db26', NULL, 100, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'done', 100, 100, 1, 1, NULL, NULL, NULL, NULL, 1767225673.95);
INSERT INTO public.jobs VALUES ('6e41df76e58b4f5986db9ad6628edf20f0e3be8ef3d324248a4cffbd7d6fb377', 'pretraining', '703f93c17808c781d70f05a15145285c5fcae70287665416cd8b843a14e8db26', NULL, 200, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'done', 200, 200, 1, 2, NULL, NULL, NULL, NULL, 1767225745.65);
INSERT INTO public.jobs VALUES ('3c78109ed60d695ca983a2afe9df84f7288b70c7de96b39057b667ab5bf22389', 'pretraining', 'f434d481d96a85089a326c8948948fada450e57307ff006eaa5769f25c358f1e', NULL, 100, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'done', 100, 100, 1, 3, NULL, NULL, NULL, NULL, 1767225817.3500001);
INSERT INTO public.jobs VALUES ('f04d3612c5c6c2be0b92cf3e67299f8842b4894186b0f004f057e89bac834e1e', 'pretraining', 'bc5f8209e57954a595b293149fc3744a43731d3e07d76abe49adbefeb22e5f1f', NULL, 100, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'running', 100, 40, 1, 4, 'launch-7f3a', 'knoten-ä', 4242, 1767225892.3500001, 1767225832.3500001);
INSERT INTO public.jobs VALUES ('520b07f8db538eed91e7b76ea89445497bfb980a82b0e12ebe1ed02f7059ebb0', 'trial', NULL, '86ef333b22415b3bef884b19e19364193ed1756c0f279ad0df34a48835d0a744', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'done', 500, 500, 1, 5, NULL, NULL, NULL, NULL, 1767225904.0500002);
INSERT INTO public.jobs VALUES ('33371d6f0649b83b88b39a21cc848e53627a737014eae783aea053ae5c6e113a', 'trial', NULL, '023ac31fb7f3c8d947f50a96d1d1b422fcbc3b2d6b23f94b1d6eddd768fd2eb6', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'done', 500, 500, 1, 6, NULL, NULL, NULL, NULL, 1767225975.7500002);
INSERT INTO public.jobs VALUES ('4e3628453168b3c176a1a05e93fb5d871a5344b108b0d5815d2521dfd253f848', 'trial', NULL, '125d06b43c3fff4297f1b962fda9c1dd77296e4dc3a4bf1bf14d9725a7483cc7', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'done', 500, 500, 1, 8, NULL, NULL, NULL, NULL, 1767226119.1500003);
INSERT INTO public.jobs VALUES ('2c033368510051833f60439d60b941b60e83ee569c1e6061ad85dd2d1e11b259', 'trial', NULL, 'c76ba3e8e535bb4e5df7c17dd60143d13a780cb0604336d6d598b8c8ed2f8af4', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'running', 500, 10, 1, 10, 'launch-7f3a', 'knoten-ä', 4242, 1767226265.8500004, 1767226205.8500004);
INSERT INTO public.jobs VALUES ('765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 'trial', NULL, '50a19e2972352f4b02933a9ffda8ea091d2f0d96ebddd85204bfdebe20ee8595', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'done', 500, 500, 6, 16, NULL, NULL, NULL, NULL, 1767226574.3500006);
INSERT INTO public.jobs VALUES ('e46db273410c7eb30bdd03fa6b79195812092cbf7fd689b8a049e688094cb9f2', 'trial', NULL, '4334055ee4d6e2ae1312c4d3068a59664c73b4b0e755e1e6689db04c73cd29db', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'failed', 500, 2, 1, 17, NULL, NULL, NULL, NULL, 1767226646.0500007);
INSERT INTO public.jobs VALUES ('2811b97f043d3af1de47a418673a23ce2537a3cdb3fe03be88963dcb89b5cf4b', 'trial', NULL, '9ba907446221375fd9658c3fa1cb0973f7d4d97d7487f30f18e473bfab8efd82', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'failed', 500, 2, 1, 18, NULL, NULL, NULL, NULL, 1767226717.7500007);
INSERT INTO public.jobs VALUES ('a16c422b79b8996024f657d956c19360b155c0a0ce24c6abc83ad9ce30bd7445', 'trial', NULL, 'edc40e3b3e660967e13c35a41b413c87fd08ebc767288c6f2836d72f72fd54f8', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'failed', 500, 2, 1, 19, NULL, NULL, NULL, NULL, 1767226789.4500008);
INSERT INTO public.jobs VALUES ('2bc8b5ebdc0a1e84999ae6d9bfcccde52cc170adb0cf8d31d010a4da3192d707', 'trial', NULL, '95c6188e552fac1c53e0e5ee55624d093a8531513ee976da9c74bd218f4404a6', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'diverged', 500, 2, 1, 21, NULL, NULL, NULL, NULL, 1767226932.8500009);
INSERT INTO public.jobs VALUES ('f2103b3454cd910e7c49f1a1a169e45886564406aac18ca574cbaba4a463f4f4', 'trial', NULL, '1949aa1263e94fb912ed3eecb6268e57d4e5bb25449d2fe3095a88ccf473046e', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'pending', 500, 2, 1, 20, NULL, NULL, NULL, NULL, 1767226933.8500009);
INSERT INTO public.jobs VALUES ('c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 'trial', NULL, 'e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', NULL, '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'done', 500, 500, 2, 7, NULL, NULL, NULL, NULL, 1767226047.4500003);
INSERT INTO public.jobs VALUES ('fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 'trial', NULL, '3cbf73d3bcadee6d905a87c675c884af283cac3293dd55965d5efecd54f2a5fb', NULL, '605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 'done', 500, 500, 2, 9, NULL, NULL, NULL, NULL, 1767226190.8500004);


--
-- Data for Name: lcma_alembic_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.lcma_alembic_version VALUES ('0007');


--
-- Data for Name: metrics; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.metrics VALUES (2, 10, 4.1);
INSERT INTO public.metrics VALUES (2, 100, 4.01);
INSERT INTO public.metrics VALUES (1, 100, NULL);
INSERT INTO public.metrics VALUES (4, 10, 4.1);
INSERT INTO public.metrics VALUES (4, 200, 4.005);
INSERT INTO public.metrics VALUES (3, 200, NULL);
INSERT INTO public.metrics VALUES (6, 10, 4.1);
INSERT INTO public.metrics VALUES (6, 500, 4.002);
INSERT INTO public.metrics VALUES (5, 500, NULL);
INSERT INTO public.metrics VALUES (8, 10, 4.1);
INSERT INTO public.metrics VALUES (8, 500, 4.002);
INSERT INTO public.metrics VALUES (7, 500, NULL);
INSERT INTO public.metrics VALUES (10, 10, 4.1);
INSERT INTO public.metrics VALUES (10, 500, 4.002);
INSERT INTO public.metrics VALUES (9, 500, NULL);
INSERT INTO public.metrics VALUES (12, 10, 4.1);
INSERT INTO public.metrics VALUES (12, 500, 4.002);
INSERT INTO public.metrics VALUES (11, 500, NULL);
INSERT INTO public.metrics VALUES (14, 10, 4.1);
INSERT INTO public.metrics VALUES (14, 500, 4.002);
INSERT INTO public.metrics VALUES (13, 500, NULL);
INSERT INTO public.metrics VALUES (16, 10, 4.1);
INSERT INTO public.metrics VALUES (16, 500, 4.002);
INSERT INTO public.metrics VALUES (15, 500, NULL);
INSERT INTO public.metrics VALUES (17, 1, 12.5);
INSERT INTO public.metrics VALUES (17, 2, NULL);
INSERT INTO public.metrics VALUES (18, 1, 12.5);
INSERT INTO public.metrics VALUES (18, 2, NULL);
INSERT INTO public.metrics VALUES (19, 1, 12.5);
INSERT INTO public.metrics VALUES (19, 2, NULL);
INSERT INTO public.metrics VALUES (20, 1, 12.5);
INSERT INTO public.metrics VALUES (20, 2, NULL);
INSERT INTO public.metrics VALUES (21, 1, 12.5);
INSERT INTO public.metrics VALUES (21, 2, NULL);


--
-- Data for Name: pretrainings; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.pretrainings VALUES ('703f93c17808c781d70f05a15145285c5fcae70287665416cd8b843a14e8db26', '6c3d786f3ef92bc35a01edf0769f9a0b6cd0bf2dc5dc27b5035348e3f4cdcfaf', 'realnvp', 'photos8', 'u8', 0, 'squeezed');
INSERT INTO public.pretrainings VALUES ('f434d481d96a85089a326c8948948fada450e57307ff006eaa5769f25c358f1e', '6c3d786f3ef92bc35a01edf0769f9a0b6cd0bf2dc5dc27b5035348e3f4cdcfaf', 'realnvp', 'photos8', 'u8', 0, 'flat');
INSERT INTO public.pretrainings VALUES ('bc5f8209e57954a595b293149fc3744a43731d3e07d76abe49adbefeb22e5f1f', '6c3d786f3ef92bc35a01edf0769f9a0b6cd0bf2dc5dc27b5035348e3f4cdcfaf', 'realnvp', 'photos8', 'u8', 1, 'squeezed');


--
-- Data for Name: recipes; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.recipes VALUES ('ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 2, 8, 500, '{"flow":"realnvp","splits":2,"training":{"rate":0.001,"steps":500}}', NULL);
INSERT INTO public.recipes VALUES ('c205189a481bf5a63f631c0f5a510d700ce01120fc41837ed4e7c390f8b6a0d1', 'resflow', 'tiny', 2, 8, 500, '{"flow":"resflow","splits":2,"training":{"rate":0.001,"steps":500}}', NULL);
INSERT INTO public.recipes VALUES ('6c3d786f3ef92bc35a01edf0769f9a0b6cd0bf2dc5dc27b5035348e3f4cdcfaf', 'realnvp', 'tiny', 0, 8, 1000, '{"flow":"realnvp","splits":0,"training":{"rate":0.001,"steps":1000}}', NULL);


--
-- Data for Name: reference_results; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.reference_results VALUES ('e4455d2e7dfa454dd0a70144e5a0bb43361a90b0b8b6b3ed7fba1577c666769a', 'LCMA', '1', 'realnvp', 'celeba64-float', 'conventional', 3.02, 'validation', 'as printed in RealNVP; float images after resizing');
INSERT INTO public.reference_results VALUES ('33a3357cf76b50a950dc7c058ad89677e7f8f72f743a7e8a910f46f836de16f8', 'LCMA', '1', 'realnvp', 'celeba64-float', 'low', 2.71, 'unspecified', '');
INSERT INTO public.reference_results VALUES ('cb05f8bdf4909f2e307c94081ea0325c57fe19156bdc40089c7ca6d13fd0490b', 'LCMA', '1', 'realnvp', 'cifar10', 'conventional', 3.49, 'test', 'as printed in RealNVP');
INSERT INTO public.reference_results VALUES ('8a8807179d8f626067ac8f011afb8c571109dea9891838fed8b8c0dfac4b3a8b', 'LCMA', '1', 'realnvp', 'cifar10', 'low', 3.43, 'unspecified', '');
INSERT INTO public.reference_results VALUES ('658a404f502e86c2e5cc3808f08940fc7835ad45159398e5c0892f7ab17da279', 'LCMA', '1', 'realnvp', 'imagenet32-png', 'conventional', 4.28, 'validation', 'as printed in RealNVP; PixelRNN release of the set');
INSERT INTO public.reference_results VALUES ('be496b6f907a7249130c40d58e1adc57b70a5252d33e7abc4192823d9676ca1d', 'LCMA', '1', 'realnvp', 'imagenet32-png', 'low', 4.21, 'unspecified', '');
INSERT INTO public.reference_results VALUES ('490cddbd178f6562073b2bb388d76e46ccca71f19ac27ae08de81e006c83b890', 'LCMA', '1', 'realnvp', 'imagenet64-png', 'conventional', 3.98, 'validation', 'as printed in RealNVP; PixelRNN release of the set');
INSERT INTO public.reference_results VALUES ('4b5cd6f192c54c505dc8c118839eb381dfa60eaa6728f524f1aaff11c936af6a', 'LCMA', '1', 'realnvp', 'imagenet64-png', 'low', 3.92, 'unspecified', '');
INSERT INTO public.reference_results VALUES ('06393c8dbb4145636995a419bfa9aa61abca6efe98a39cc89318515e8d74a720', 'LCMA', '2', 'realnvp', 'cifar10', 'conventional', 3.49, 'test', '');
INSERT INTO public.reference_results VALUES ('baa5a78899110590169eb73ec0e3430ce5f43e4f63433694f714f72db3918d4b', 'LCMA', '2', 'glow', 'cifar10', 'conventional', 3.35, 'test', 'as printed in Glow');
INSERT INTO public.reference_results VALUES ('aefe453f74dd8313af7151f6a75dd15846d952d994082dffefd8c3e718ee1fbb', 'LCMA', '2', 'iresnet', 'cifar10', 'conventional', 3.45, 'test', 'as printed in i-ResNet');
INSERT INTO public.reference_results VALUES ('894666d13dfb72a42a087204ae4c6ae628490b2b7be6ff1c37767e2cbb645652', 'LCMA', '2', 'resflow', 'cifar10', 'conventional', 3.28, 'test', 'as printed in Residual Flows; that model has no split');
INSERT INTO public.reference_results VALUES ('f8ca342ac09369b1280ba9a1eb248c07f72726d67ec7456a740019e1defaee78', 'LCMA', '2', 'realnvp', 'cifar10', 'low', 3.43, 'unspecified', '');
INSERT INTO public.reference_results VALUES ('5786190636198ece5220a95c629da432eb7c21af090816dfc9bd285e7bc93056', 'LCMA', '2', 'glow', 'cifar10', 'low', 3.31, 'unspecified', '');
INSERT INTO public.reference_results VALUES ('60a04625b484c48505a0c6ba93b26a578e94b1c09d82e712bb9119149cab49f7', 'LCMA', '2', 'iresnet', 'cifar10', 'low', 3.4, 'unspecified', '');
INSERT INTO public.reference_results VALUES ('9d97b1a12aa3de65486c03461782fdfa1ce0e369947d3b491a63f64c01479f4b', 'LCMA', '2', 'resflow', 'cifar10', 'low', 3.25, 'unspecified', '');
INSERT INTO public.reference_results VALUES ('dbcebd8a2830f88c00830cd1a8018e35ee00496845238c546d16ba5f7bae7e88', 'LCMA', '3', 'realnvp', 'celeba64-float', 'random', 3.05, 'unspecified', '');
INSERT INTO public.reference_results VALUES ('f4b60df2170c3908c5bf5693cf09ba467ac5da3ac46a242ce65a289e08f914ba', 'LCMA', '3', 'realnvp', 'celeba64-float', 'high', 3.1, 'unspecified', 'the same as HHH by its number and description');
INSERT INTO public.reference_results VALUES ('5185a7414625aa3e054e59d14d511e836ca48c28c1d6de60df5ebc597c6ee9c7', 'LCMA', '3', 'realnvp', 'celeba64-float', 'conventional', 3.02, 'unspecified', '');
INSERT INTO public.reference_results VALUES ('571dac61919759161bd028ff41560ac3d045f6be97ef0f271b85efcc62dd1e2b', 'LCMA', '3', 'realnvp', 'celeba64-float', 'low', 2.71, 'unspecified', 'the same as LLL by its number and description');
INSERT INTO public.reference_results VALUES ('ae0275914599cae1a5266bf04aebfd8906bc5bd521ad9a3e4fc183c6615ee258', 'LCMA', '4', 'realnvp', 'celeba64-float', 'HHH', 3.1, 'unspecified', 'three splits');
INSERT INTO public.reference_results VALUES ('210ab401805b4177f77cab47b93a05e699ce3c761995e15b3892be3d01310278', 'LCMA', '4', 'realnvp', 'celeba64-float', 'HHL', 3.09, 'unspecified', 'three splits');
INSERT INTO public.reference_results VALUES ('8eb9f2680768dae5bf222e04c46255bb4e0545bcb8c8790f1c17ac2d12db441b', 'LCMA', '4', 'realnvp', 'celeba64-float', 'HLH', 3.07, 'unspecified', 'three splits');
INSERT INTO public.reference_results VALUES ('2a1338302c49c3c39eec58618525cd1149766c949f6c87248a674939ca0d378a', 'LCMA', '4', 'realnvp', 'celeba64-float', 'HLL', 3.05, 'unspecified', 'three splits');
INSERT INTO public.reference_results VALUES ('c47992738ab045a37c618f0aa17453416cc3af6ed92c862ab3228b456b6da4bc', 'LCMA', '4', 'realnvp', 'celeba64-float', 'LHH', 3, 'unspecified', 'three splits');
INSERT INTO public.reference_results VALUES ('3bbbe42d3ad75a9331b306c0ba53540d37a2d82a94bde79c10f168acaa7ccc26', 'LCMA', '4', 'realnvp', 'celeba64-float', 'LHL', 2.92, 'unspecified', 'three splits');
INSERT INTO public.reference_results VALUES ('88e93278da307ff2cedf52f84fd2de87d77aa1f7046a8856a6b736b285e9da9f', 'LCMA', '4', 'realnvp', 'celeba64-float', 'LLH', 2.79, 'unspecified', 'three splits');
INSERT INTO public.reference_results VALUES ('f475b2904f115d7ebab564335d980cc6ed7cc65e1997132d3a4c3681a968a543', 'LCMA', '4', 'realnvp', 'celeba64-float', 'LLL', 2.71, 'unspecified', 'three splits');


--
-- Data for Name: results; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.results VALUES ('3dc493f5da32f8ea6b7f7cc39fcc53225abb4e34e8bbcd8f63c7733d98dee700', '86ef333b22415b3bef884b19e19364193ed1756c0f279ad0df34a48835d0a744', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'plain', '{"draws":1,"name":"plain"}', 'float32', 500, 3.8333333333333335, 0.03333333333333333, NULL, 100, 3.9761904761904763, NULL, 3.8333333323333334, -33.333333333333336, -1e-17, 5, 1767225904.0500002, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, '42c442effe8340c7308b86a39b4dcaa99d638c2296db697b2a717c45be2704ce');
INSERT INTO public.results VALUES ('4045082028af64a0635747e8f65a9b741342823419d732fcd8b49ec7caa3fa7e', '023ac31fb7f3c8d947f50a96d1d1b422fcbc3b2d6b23f94b1d6eddd768fd2eb6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'plain', '{"draws":1,"name":"plain"}', 'float32', 500, 3.9333333333333336, 0.03333333333333333, NULL, 100, 4.076190476190477, NULL, 3.9333333323333335, -33.333333333333336, -1e-17, 6, 1767225975.7500002, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, '42c442effe8340c7308b86a39b4dcaa99d638c2296db697b2a717c45be2704ce');
INSERT INTO public.results VALUES ('0c00efdea06969910a78a546ebfb359dc63e8ea85ef2244039fc24d231b2bcc9', 'e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'plain', '{"draws":1,"name":"plain"}', 'float32', 500, 3.7333333333333334, 0.03333333333333333, NULL, 100, 3.876190476190476, NULL, 3.7333333323333333, -33.333333333333336, -1e-17, 7, 1767226047.4500003, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 'f4cd3e58662c045cf22ca1f9a0afdb749a3bdbd341474835e873c0f544d82631');
INSERT INTO public.results VALUES ('6f3441ad03fe36f545dcb579af5642f8a86b1e5f20e8ea2a70e19d6f24512624', '125d06b43c3fff4297f1b962fda9c1dd77296e4dc3a4bf1bf14d9725a7483cc7', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'plain', '{"draws":1,"name":"plain"}', 'float32', 500, 3.6333333333333333, 0.03333333333333333, NULL, 100, 3.776190476190476, NULL, 3.633333332333333, -33.333333333333336, -1e-17, 8, 1767226119.1500003, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, '0c6ec994d8f27872b89eae95adefea96794fc294195b7785a5c93636f9e0e92a');
INSERT INTO public.results VALUES ('13aafb06d55a3a745371c1740196b4c3df3387f12160cece80a303cb5fd156b7', '3cbf73d3bcadee6d905a87c675c884af283cac3293dd55965d5efecd54f2a5fb', '605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 'plain', '{"draws":1,"name":"plain"}', 'float32', 500, 6, 0.03333333333333333, 7, 100, 6.142857142857143, NULL, 5.999999999, -33.333333333333336, -1e-17, 9, 1767226190.8500004, 10, 100, 5.333333333333333, 0.1, 20, -1e-07, 1e-08, 0, 'ee7c480f1d5a5ccea2206f1eca3088482f177439bfb2afaac212bb3585cf8e9a');
INSERT INTO public.results VALUES ('c591328e7a00cd419d11a3e9dda176d5b5e9461aeaca17d34307c4e7b08801c2', '50a19e2972352f4b02933a9ffda8ea091d2f0d96ebddd85204bfdebe20ee8595', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'plain', '{"draws":1,"name":"plain"}', 'float32', 500, 4, 0.03333333333333333, NULL, 100, 4.142857142857143, NULL, 3.999999999, -33.333333333333336, -1e-17, 16, 1767226574.3500006, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 'c8a9c05934734ccfc167a985c26d3b0b9ba50e5c46cc1903e0f484dc3f03c1c1');
INSERT INTO public.results VALUES ('d930bf0372c632c2113e3ed10215ec2551bcdf6efb2d74490a7d3329a8ae0a63', 'e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'published', '{"draws":1,"name":"published"}', 'float32', 500, 3.25, 0.03333333333333333, NULL, 100, 3.392857142857143, NULL, NULL, -33.333333333333336, -1e-17, 22, 1767226942.3500009, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 'd876e780a909174b8b3e3ae54f61c20a242b098728cd53d834f33be5b9fe315e');
INSERT INTO public.results VALUES ('83ae4e1396aa987d82070a752f6f98e9312a85242dae6bb4eba1b0c51086b553', '3cbf73d3bcadee6d905a87c675c884af283cac3293dd55965d5efecd54f2a5fb', '605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 'published', '{"draws":1,"name":"published"}', 'float32', 500, 5.75, 0.03333333333333333, NULL, 100, 5.892857142857143, NULL, NULL, -33.333333333333336, -1e-17, 23, 1767226950.8500009, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 'fd1fd8f40a782e1cc965f4c23150caf321b0b8e35e1934ea49a5c2ce073eb912');


--
-- Data for Name: sweep_trials; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.sweep_trials VALUES ('dba36bffa5cab0f922d087a3aeb179f9d4e745df40b323e1b1471402848c8a3e', '86ef333b22415b3bef884b19e19364193ed1756c0f279ad0df34a48835d0a744', 'conventional');
INSERT INTO public.sweep_trials VALUES ('dba36bffa5cab0f922d087a3aeb179f9d4e745df40b323e1b1471402848c8a3e', '86ef333b22415b3bef884b19e19364193ed1756c0f279ad0df34a48835d0a744', 'channel');
INSERT INTO public.sweep_trials VALUES ('dba36bffa5cab0f922d087a3aeb179f9d4e745df40b323e1b1471402848c8a3e', 'e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', 'low');
INSERT INTO public.sweep_trials VALUES ('dba36bffa5cab0f922d087a3aeb179f9d4e745df40b323e1b1471402848c8a3e', '125d06b43c3fff4297f1b962fda9c1dd77296e4dc3a4bf1bf14d9725a7483cc7', 'low');
INSERT INTO public.sweep_trials VALUES ('dba36bffa5cab0f922d087a3aeb179f9d4e745df40b323e1b1471402848c8a3e', 'd44ffb6675655f93e725015c008f56ca0bfc68daaa46a1554045df610afff380', 'low');
INSERT INTO public.sweep_trials VALUES ('aedc3f80989a6546962705852b2f4a481dbd1e490760693525c3724bacab3f50', '3cbf73d3bcadee6d905a87c675c884af283cac3293dd55965d5efecd54f2a5fb', 'conventional');


--
-- Data for Name: sweeps; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.sweeps VALUES ('dba36bffa5cab0f922d087a3aeb179f9d4e745df40b323e1b1471402848c8a3e', 'words', '{"name":"words","seeds":2}', 1767225600.25);
INSERT INTO public.sweeps VALUES ('aedc3f80989a6546962705852b2f4a481dbd1e490760693525c3724bacab3f50', 'Größe', '{"name":"Größe","seeds":2}', 1767225600.25);


--
-- Data for Name: table_overlaps; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.table_overlaps VALUES ('023ac31fb7f3c8d947f50a96d1d1b422fcbc3b2d6b23f94b1d6eddd768fd2eb6', '86ef333b22415b3bef884b19e19364193ed1756c0f279ad0df34a48835d0a744', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 1, 'seed', 0.3333333333333333);
INSERT INTO public.table_overlaps VALUES ('86ef333b22415b3bef884b19e19364193ed1756c0f279ad0df34a48835d0a744', '023ac31fb7f3c8d947f50a96d1d1b422fcbc3b2d6b23f94b1d6eddd768fd2eb6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 1, 'seed', 0.3333333333333333);
INSERT INTO public.table_overlaps VALUES ('023ac31fb7f3c8d947f50a96d1d1b422fcbc3b2d6b23f94b1d6eddd768fd2eb6', '86ef333b22415b3bef884b19e19364193ed1756c0f279ad0df34a48835d0a744', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 2, 'seed', 0.23076923076923078);
INSERT INTO public.table_overlaps VALUES ('86ef333b22415b3bef884b19e19364193ed1756c0f279ad0df34a48835d0a744', '023ac31fb7f3c8d947f50a96d1d1b422fcbc3b2d6b23f94b1d6eddd768fd2eb6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 2, 'seed', 0.23076923076923078);
INSERT INTO public.table_overlaps VALUES ('125d06b43c3fff4297f1b962fda9c1dd77296e4dc3a4bf1bf14d9725a7483cc7', 'e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 1, 'budget', 0.16363636363636364);
INSERT INTO public.table_overlaps VALUES ('e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', '125d06b43c3fff4297f1b962fda9c1dd77296e4dc3a4bf1bf14d9725a7483cc7', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 1, 'budget', 0.16363636363636364);
INSERT INTO public.table_overlaps VALUES ('125d06b43c3fff4297f1b962fda9c1dd77296e4dc3a4bf1bf14d9725a7483cc7', 'e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 2, 'budget', 0);
INSERT INTO public.table_overlaps VALUES ('e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', '125d06b43c3fff4297f1b962fda9c1dd77296e4dc3a4bf1bf14d9725a7483cc7', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 2, 'budget', 0);


--
-- Name: artifacts_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.artifacts_id_seq', 8, true);


--
-- Name: attempts_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.attempts_id_seq', 23, true);


--
-- Name: contribution_maps_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.contribution_maps_id_seq', 8, true);


--
-- Name: curves_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.curves_id_seq', 21, true);


--
-- Name: events_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.events_id_seq', 45, true);


--
-- Name: lcma_alembic_version lcma_alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lcma_alembic_version
    ADD CONSTRAINT lcma_alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: artifacts pk_artifacts; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT pk_artifacts PRIMARY KEY (id);


--
-- Name: attempts pk_attempts; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT pk_attempts PRIMARY KEY (id);


--
-- Name: bars pk_bars; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.bars
    ADD CONSTRAINT pk_bars PRIMARY KEY (data_digest, name);


--
-- Name: cells pk_cells; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cells
    ADD CONSTRAINT pk_cells PRIMARY KEY (id);


--
-- Name: contribution_maps pk_contribution_maps; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contribution_maps
    ADD CONSTRAINT pk_contribution_maps PRIMARY KEY (id);


--
-- Name: curves pk_curves; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curves
    ADD CONSTRAINT pk_curves PRIMARY KEY (id);


--
-- Name: data_sets pk_data_sets; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.data_sets
    ADD CONSTRAINT pk_data_sets PRIMARY KEY (digest);


--
-- Name: dictionary pk_dictionary; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.dictionary
    ADD CONSTRAINT pk_dictionary PRIMARY KEY (relation, "position");


--
-- Name: environments pk_environments; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.environments
    ADD CONSTRAINT pk_environments PRIMARY KEY (id);


--
-- Name: events pk_events; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT pk_events PRIMARY KEY (id);


--
-- Name: flow_trials pk_flow_trials; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.flow_trials
    ADD CONSTRAINT pk_flow_trials PRIMARY KEY (id);


--
-- Name: index_tables pk_index_tables; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.index_tables
    ADD CONSTRAINT pk_index_tables PRIMARY KEY (trial_id, data_digest, split);


--
-- Name: jobs pk_jobs; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT pk_jobs PRIMARY KEY (id);


--
-- Name: metrics pk_metrics; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.metrics
    ADD CONSTRAINT pk_metrics PRIMARY KEY (curve_id, step);


--
-- Name: pretrainings pk_pretrainings; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pretrainings
    ADD CONSTRAINT pk_pretrainings PRIMARY KEY (id);


--
-- Name: recipes pk_recipes; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.recipes
    ADD CONSTRAINT pk_recipes PRIMARY KEY (id);


--
-- Name: reference_results pk_reference_results; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reference_results
    ADD CONSTRAINT pk_reference_results PRIMARY KEY (id);


--
-- Name: results pk_results; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.results
    ADD CONSTRAINT pk_results PRIMARY KEY (id);


--
-- Name: sweep_trials pk_sweep_trials; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.sweep_trials
    ADD CONSTRAINT pk_sweep_trials PRIMARY KEY (sweep_id, trial_id, factorization);


--
-- Name: sweeps pk_sweeps; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.sweeps
    ADD CONSTRAINT pk_sweeps PRIMARY KEY (id);


--
-- Name: table_overlaps pk_table_overlaps; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.table_overlaps
    ADD CONSTRAINT pk_table_overlaps PRIMARY KEY (trial_id, other_trial_id, data_digest, split);


--
-- Name: artifacts uq_artifacts_job_id_kind; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT uq_artifacts_job_id_kind UNIQUE (job_id, kind);


--
-- Name: attempts uq_attempts_job_id_token; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT uq_attempts_job_id_token UNIQUE (job_id, token);


--
-- Name: contribution_maps uq_contribution_maps_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contribution_maps
    ADD CONSTRAINT uq_contribution_maps_key UNIQUE (pretraining_id, data_digest, budget, split, score);


--
-- Name: curves uq_curves_job_id_name; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curves
    ADD CONSTRAINT uq_curves_job_id_name UNIQUE (job_id, name);


--
-- Name: jobs uq_jobs_pretraining_id_budget_data_digest; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT uq_jobs_pretraining_id_budget_data_digest UNIQUE (pretraining_id, budget, data_digest);


--
-- Name: jobs uq_jobs_trial_id_data_digest; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT uq_jobs_trial_id_data_digest UNIQUE (trial_id, data_digest);


--
-- Name: results uq_results_trial_id_data_digest_protocol; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.results
    ADD CONSTRAINT uq_results_trial_id_data_digest_protocol UNIQUE (trial_id, data_digest, protocol);


--
-- Name: ix_cells_dataset_flow_protocol_mean; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_cells_dataset_flow_protocol_mean ON public.cells USING btree (dataset, flow, protocol, mean);


--
-- Name: ix_cells_recipe_id_comparable_mean_factorization; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_cells_recipe_id_comparable_mean_factorization ON public.cells USING btree (recipe_id, comparable, mean, factorization);


--
-- Name: ix_events_job_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_events_job_id ON public.events USING btree (job_id);


--
-- Name: ix_flow_trials_dataset_flow_factorization; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_flow_trials_dataset_flow_factorization ON public.flow_trials USING btree (dataset, flow, factorization);


--
-- Name: ix_jobs_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_jobs_state ON public.jobs USING btree (state);


--
-- Name: ix_results_cell_id_seed_bits_per_dim; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_results_cell_id_seed_bits_per_dim ON public.results USING btree (cell_id, seed, bits_per_dim);


--
-- Name: artifacts fk_artifacts_job_id_jobs; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT fk_artifacts_job_id_jobs FOREIGN KEY (job_id) REFERENCES public.jobs(id);


--
-- Name: attempts fk_attempts_environment_id_environments; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT fk_attempts_environment_id_environments FOREIGN KEY (environment_id) REFERENCES public.environments(id);


--
-- Name: attempts fk_attempts_job_id_jobs; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT fk_attempts_job_id_jobs FOREIGN KEY (job_id) REFERENCES public.jobs(id);


--
-- Name: bars fk_bars_data_digest_data_sets; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.bars
    ADD CONSTRAINT fk_bars_data_digest_data_sets FOREIGN KEY (data_digest) REFERENCES public.data_sets(digest);


--
-- Name: cells fk_cells_data_digest_data_sets; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cells
    ADD CONSTRAINT fk_cells_data_digest_data_sets FOREIGN KEY (data_digest) REFERENCES public.data_sets(digest);


--
-- Name: cells fk_cells_recipe_id_recipes; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.cells
    ADD CONSTRAINT fk_cells_recipe_id_recipes FOREIGN KEY (recipe_id) REFERENCES public.recipes(id);


--
-- Name: contribution_maps fk_contribution_maps_attempt_id_attempts; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contribution_maps
    ADD CONSTRAINT fk_contribution_maps_attempt_id_attempts FOREIGN KEY (attempt_id) REFERENCES public.attempts(id);


--
-- Name: contribution_maps fk_contribution_maps_data_digest_data_sets; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contribution_maps
    ADD CONSTRAINT fk_contribution_maps_data_digest_data_sets FOREIGN KEY (data_digest) REFERENCES public.data_sets(digest);


--
-- Name: contribution_maps fk_contribution_maps_pretraining_id_pretrainings; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contribution_maps
    ADD CONSTRAINT fk_contribution_maps_pretraining_id_pretrainings FOREIGN KEY (pretraining_id) REFERENCES public.pretrainings(id);


--
-- Name: curves fk_curves_job_id_jobs; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.curves
    ADD CONSTRAINT fk_curves_job_id_jobs FOREIGN KEY (job_id) REFERENCES public.jobs(id);


--
-- Name: events fk_events_job_id_jobs; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.events
    ADD CONSTRAINT fk_events_job_id_jobs FOREIGN KEY (job_id) REFERENCES public.jobs(id);


--
-- Name: flow_trials fk_flow_trials_pretraining_id_pretrainings; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.flow_trials
    ADD CONSTRAINT fk_flow_trials_pretraining_id_pretrainings FOREIGN KEY (pretraining_id) REFERENCES public.pretrainings(id);


--
-- Name: flow_trials fk_flow_trials_recipe_id_recipes; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.flow_trials
    ADD CONSTRAINT fk_flow_trials_recipe_id_recipes FOREIGN KEY (recipe_id) REFERENCES public.recipes(id);


--
-- Name: index_tables fk_index_tables_attempt_id_attempts; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.index_tables
    ADD CONSTRAINT fk_index_tables_attempt_id_attempts FOREIGN KEY (attempt_id) REFERENCES public.attempts(id);


--
-- Name: index_tables fk_index_tables_data_digest_data_sets; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.index_tables
    ADD CONSTRAINT fk_index_tables_data_digest_data_sets FOREIGN KEY (data_digest) REFERENCES public.data_sets(digest);


--
-- Name: index_tables fk_index_tables_trial_id_flow_trials; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.index_tables
    ADD CONSTRAINT fk_index_tables_trial_id_flow_trials FOREIGN KEY (trial_id) REFERENCES public.flow_trials(id);


--
-- Name: jobs fk_jobs_data_digest_data_sets; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT fk_jobs_data_digest_data_sets FOREIGN KEY (data_digest) REFERENCES public.data_sets(digest);


--
-- Name: jobs fk_jobs_pretraining_id_pretrainings; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT fk_jobs_pretraining_id_pretrainings FOREIGN KEY (pretraining_id) REFERENCES public.pretrainings(id);


--
-- Name: jobs fk_jobs_trial_id_flow_trials; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT fk_jobs_trial_id_flow_trials FOREIGN KEY (trial_id) REFERENCES public.flow_trials(id);


--
-- Name: pretrainings fk_pretrainings_recipe_id_recipes; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pretrainings
    ADD CONSTRAINT fk_pretrainings_recipe_id_recipes FOREIGN KEY (recipe_id) REFERENCES public.recipes(id);


--
-- Name: results fk_results_attempt_id_attempts; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.results
    ADD CONSTRAINT fk_results_attempt_id_attempts FOREIGN KEY (attempt_id) REFERENCES public.attempts(id);


--
-- Name: results fk_results_cell_id_cells; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.results
    ADD CONSTRAINT fk_results_cell_id_cells FOREIGN KEY (cell_id) REFERENCES public.cells(id);


--
-- Name: results fk_results_data_digest_data_sets; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.results
    ADD CONSTRAINT fk_results_data_digest_data_sets FOREIGN KEY (data_digest) REFERENCES public.data_sets(digest);


--
-- Name: results fk_results_trial_id_flow_trials; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.results
    ADD CONSTRAINT fk_results_trial_id_flow_trials FOREIGN KEY (trial_id) REFERENCES public.flow_trials(id);


--
-- Name: sweep_trials fk_sweep_trials_sweep_id_sweeps; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.sweep_trials
    ADD CONSTRAINT fk_sweep_trials_sweep_id_sweeps FOREIGN KEY (sweep_id) REFERENCES public.sweeps(id);


--
-- Name: sweep_trials fk_sweep_trials_trial_id_flow_trials; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.sweep_trials
    ADD CONSTRAINT fk_sweep_trials_trial_id_flow_trials FOREIGN KEY (trial_id) REFERENCES public.flow_trials(id);


--
-- Name: table_overlaps fk_table_overlaps_data_digest_data_sets; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.table_overlaps
    ADD CONSTRAINT fk_table_overlaps_data_digest_data_sets FOREIGN KEY (data_digest) REFERENCES public.data_sets(digest);


--
-- Name: table_overlaps fk_table_overlaps_other_trial_id_flow_trials; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.table_overlaps
    ADD CONSTRAINT fk_table_overlaps_other_trial_id_flow_trials FOREIGN KEY (other_trial_id) REFERENCES public.flow_trials(id);


--
-- Name: table_overlaps fk_table_overlaps_trial_id_flow_trials; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.table_overlaps
    ADD CONSTRAINT fk_table_overlaps_trial_id_flow_trials FOREIGN KEY (trial_id) REFERENCES public.flow_trials(id);
