CREATE TABLE public.artifacts (
    id integer NOT NULL,
    job_id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    path text NOT NULL COLLATE pg_catalog."C",
    bytes bigint NOT NULL,
    digest text NOT NULL COLLATE pg_catalog."C",
    created double precision NOT NULL
);


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
    CONSTRAINT ck_attempts_end CHECK (((ended IS NULL) = (outcome IS NULL))),
    CONSTRAINT ck_attempts_outcome CHECK ((outcome = ANY (ARRAY['done'::text, 'pruned'::text, 'diverged'::text, 'oom'::text, 'preempted'::text, 'node_lost'::text, 'timeout'::text, 'code_error'::text, 'cancelled'::text, 'lease_lost'::text])))
);


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
    created double precision NOT NULL
);


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
-- Name: lcma_alembic_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lcma_alembic_version (
    version_num character varying(32) NOT NULL
);


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
-- Name: metrics; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.metrics (
    job_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    step integer NOT NULL,
    value double precision
);


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
    body text NOT NULL COLLATE pg_catalog."C"
);


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
    series_bias_standard_error double precision
);


--
-- Name: sweep_trials; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.sweep_trials (
    sweep_id text NOT NULL COLLATE pg_catalog."C",
    trial_id text NOT NULL COLLATE pg_catalog."C",
    factorization text NOT NULL COLLATE pg_catalog."C"
);


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
    ( SELECT avg(other.iou) AS avg
           FROM public.table_overlaps other
          WHERE ((other.trial_id = index_tables.trial_id) AND (other.data_digest = index_tables.data_digest) AND (other.split = index_tables.split) AND (other.differs = 'seed'::text))) AS iou_other_seeds,
    ( SELECT avg(other.iou) AS avg
           FROM public.table_overlaps other
          WHERE ((other.trial_id = index_tables.trial_id) AND (other.data_digest = index_tables.data_digest) AND (other.split = index_tables.split) AND (other.differs = 'budget'::text))) AS iou_other_budgets,
    flow_trials.recipe_id,
    index_tables.trial_id,
    index_tables.digest
   FROM (public.index_tables
     JOIN public.flow_trials ON ((flow_trials.id = index_tables.trial_id)));


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
    ( SELECT sum(a.seconds) AS sum
           FROM public.attempts a
          WHERE ((a.job_id = attempts.job_id) AND (a.protocol IS NULL))) AS seconds,
    ( SELECT sum(a.cpu_seconds) AS sum
           FROM public.attempts a
          WHERE ((a.job_id = attempts.job_id) AND (a.protocol IS NULL))) AS cpu_seconds,
        CASE
            WHEN (attempts.protocol IS NOT NULL) THEN attempts.seconds
            ELSE NULL::double precision
        END AS evaluation_seconds,
    attempts.peak_memory,
    attempts.threads,
    environments.device,
    environments.cpu_capability,
    environments.torch,
    environments.code_version,
    environments.dirty,
    results.created,
    flow_trials.map_options,
    results.trial_id,
    flow_trials.recipe_id,
    flow_trials.pretraining_id,
    attempts.environment_id,
    results.id AS result_id
   FROM ((((public.results
     JOIN public.flow_trials ON ((flow_trials.id = results.trial_id)))
     JOIN public.recipes ON ((recipes.id = flow_trials.recipe_id)))
     JOIN public.attempts ON ((attempts.id = results.attempt_id)))
     JOIN public.environments ON ((environments.id = attempts.environment_id)));


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
-- Data for Name: artifacts; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.artifacts VALUES (1, '4020cba4d4652c65c0ddbd76cd4dfc1d74993f0bb4d95b7aef1c175bd8d8a30d', 'checkpoint', 'läufe/checkpoint.pt', 4294967301, '47320987f9a49d5b00119b960f247a956773f57543982b8bfcb6da5bb3afd9ef', 1767225673.95);
INSERT INTO public.artifacts VALUES (2, '6e41df76e58b4f5986db9ad6628edf20f0e3be8ef3d324248a4cffbd7d6fb377', 'checkpoint', 'läufe/checkpoint.pt', 4294967301, '47320987f9a49d5b00119b960f247a956773f57543982b8bfcb6da5bb3afd9ef', 1767225745.65);
INSERT INTO public.artifacts VALUES (3, '520b07f8db538eed91e7b76ea89445497bfb980a82b0e12ebe1ed02f7059ebb0', 'weights', 'läufe/weights.pt', 4294967301, '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 1767225904.0500002);
INSERT INTO public.artifacts VALUES (4, '33371d6f0649b83b88b39a21cc848e53627a737014eae783aea053ae5c6e113a', 'weights', 'läufe/weights.pt', 4294967301, '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 1767225975.7500002);
INSERT INTO public.artifacts VALUES (5, 'c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 'weights', 'läufe/weights.pt', 4294967301, '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 1767226047.4500003);
INSERT INTO public.artifacts VALUES (6, '4e3628453168b3c176a1a05e93fb5d871a5344b108b0d5815d2521dfd253f848', 'weights', 'läufe/weights.pt', 4294967301, '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 1767226119.1500003);
INSERT INTO public.artifacts VALUES (7, 'fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 'weights', 'läufe/weights.pt', 4294967301, '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 1767226190.8500004);
INSERT INTO public.artifacts VALUES (8, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 'weights', 'läufe/weights.pt', 4294967301, '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 1767226574.3500006);


--
-- Data for Name: attempts; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.attempts VALUES (23, 'fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 2, 'evaluator', 'knoten-ä', '32fc4a637ba0160186185c17d06f2045dddcff3834764d47cbc0b066fc2229fb', 'cpu', 2, 1767226943.3500009, 1767226950.8500009, 'done', '', 500, 500, 7.5, 8.25, NULL, NULL, 'published');
INSERT INTO public.attempts VALUES (1, '4020cba4d4652c65c0ddbd76cd4dfc1d74993f0bb4d95b7aef1c175bd8d8a30d', 1, 'launch-7f3a', 'knoten-ä', '32fc4a637ba0160186185c17d06f2045dddcff3834764d47cbc0b066fc2229fb', 'cuda:0', 1, 1767225612.25, 1767225673.95, 'done', '', 0, 100, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (11, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 1, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226215.8500004, 1767226277.5500004, 'preempted', 'preempted: it''s »so«', 0, 7, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (2, '6e41df76e58b4f5986db9ad6628edf20f0e3be8ef3d324248a4cffbd7d6fb377', 1, 'launch-7f3a', 'knoten-ä', '32fc4a637ba0160186185c17d06f2045dddcff3834764d47cbc0b066fc2229fb', 'cuda:0', 1, 1767225683.95, 1767225745.65, 'done', '', 0, 200, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (3, '3c78109ed60d695ca983a2afe9df84f7288b70c7de96b39057b667ab5bf22389', 1, 'launch-7f3a', 'knoten-ä', '32fc4a637ba0160186185c17d06f2045dddcff3834764d47cbc0b066fc2229fb', 'cuda:0', 1, 1767225755.65, 1767225817.3500001, 'done', '', 0, 100, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (4, 'f04d3612c5c6c2be0b92cf3e67299f8842b4894186b0f004f057e89bac834e1e', 1, 'launch-7f3a', 'knoten-ä', '32fc4a637ba0160186185c17d06f2045dddcff3834764d47cbc0b066fc2229fb', 'cuda:0', 1, 1767225827.3500001, NULL, NULL, '', 0, 40, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.attempts VALUES (17, 'e46db273410c7eb30bdd03fa6b79195812092cbf7fd689b8a049e688094cb9f2', 1, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226584.3500006, 1767226646.0500007, 'oom', 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
', 0, 2, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (5, '520b07f8db538eed91e7b76ea89445497bfb980a82b0e12ebe1ed02f7059ebb0', 1, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767225842.3500001, 1767225904.0500002, 'done', '', 0, 500, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (12, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 2, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226287.5500004, 1767226349.2500005, 'node_lost', 'node_lost: it''s »so«', 7, 7, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (6, '33371d6f0649b83b88b39a21cc848e53627a737014eae783aea053ae5c6e113a', 1, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767225914.0500002, 1767225975.7500002, 'done', '', 0, 500, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (7, 'c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 1, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767225985.7500002, 1767226047.4500003, 'done', '', 0, 500, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (8, '4e3628453168b3c176a1a05e93fb5d871a5344b108b0d5815d2521dfd253f848', 1, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226057.4500003, 1767226119.1500003, 'done', '', 0, 500, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (13, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 3, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226359.2500005, 1767226420.9500005, 'cancelled', 'cancelled: it''s »so«', 7, 7, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (9, 'fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 1, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226129.1500003, 1767226190.8500004, 'done', '', 0, 500, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (10, '2c033368510051833f60439d60b941b60e83ee569c1e6061ad85dd2d1e11b259', 1, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226200.8500004, NULL, NULL, '', 0, 10, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.attempts VALUES (20, 'f2103b3454cd910e7c49f1a1a169e45886564406aac18ca574cbaba4a463f4f4', 1, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226799.4500008, 1767226861.1500008, 'oom', 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
', 0, 2, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (14, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 4, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226430.9500005, 1767226492.6500006, 'pruned', 'pruned: it''s »so«', 7, 7, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (15, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 5, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226502.6500006, 1767226512.6500006, 'lease_lost', '', 7, 7, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.attempts VALUES (18, '2811b97f043d3af1de47a418673a23ce2537a3cdb3fe03be88963dcb89b5cf4b', 1, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226656.0500007, 1767226717.7500007, 'timeout', 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
', 0, 2, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (16, '765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 6, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226512.6500006, 1767226574.3500006, 'done', '', 7, 500, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (19, 'a16c422b79b8996024f657d956c19360b155c0a0ce24c6abc83ad9ce30bd7445', 1, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226727.7500007, 1767226789.4500008, 'code_error', 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
', 0, 2, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (21, '2bc8b5ebdc0a1e84999ae6d9bfcccde52cc170adb0cf8d31d010a4da3192d707', 1, 'launch-7f3a', 'knoten-ä', 'c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', 'cuda:0', 1, 1767226871.1500008, 1767226932.8500009, 'diverged', 'Löss = ∞ after 10 %: it''s "NaN"
-- at C:\run\7; retry
	INSERT INTO x VALUES (''1'');
', 0, 2, 61.7, 67.87, 1620.7455429497568, 8589934593, NULL);
INSERT INTO public.attempts VALUES (22, 'c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 2, 'evaluator', 'knoten-ä', '32fc4a637ba0160186185c17d06f2045dddcff3834764d47cbc0b066fc2229fb', 'cpu', 2, 1767226934.8500009, 1767226942.3500009, 'done', '', 500, 500, 7.5, 8.25, NULL, NULL, 'published');


--
-- Data for Name: bars; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.bars VALUES ('961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'gaussian', 6.833333333333333, 0.01, 100, 'one mean and one deviation');
INSERT INTO public.bars VALUES ('605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 'png', NULL, NULL, 100, 'left out: it''s float32, no bytes');


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
-- Data for Name: data_sets; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.data_sets VALUES ('961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'photos8', 'u8', 8, 8, 1, 900, 90, 100, '{"skipped":["it''s broken.png"],"source":"Fotos aus Köln"}', 1767225600.25);
INSERT INTO public.data_sets VALUES ('605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 'celeba8', 'f32', 8, 8, 1, 900, 90, 100, '{"skipped":["it''s broken.png"],"source":"Fotos aus Köln"}', 1767225600.25);


--
-- Data for Name: environments; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.environments VALUES ('32fc4a637ba0160186185c17d06f2045dddcff3834764d47cbc0b066fc2229fb', '0.1.0+4988302', NULL, '3.11.9', '2.6.0+cu124', 'Linux x86_64', 'Xeon® Gold 6338', 'AVX512', '{"numpy":"2.0.1","ray":"2.50.0"}', 1767225601.25);
INSERT INTO public.environments VALUES ('c9238d6d3afeed5d91c6a30033e6e34b74144ebfb5a33c79bee06f4d225baa8d', '0.1.0+4988302', 'd0c92c764c5647d43d7166efc3e7d350751de063c1388bd2e113fab4865529d3', '3.11.9', '2.6.0+cu124', 'Linux x86_64', 'NVIDIA A100-SXM4-80GB', 'AVX512', '{"numpy":"2.0.1","ray":"2.50.0"}', 1767225602.25);


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

INSERT INTO public.lcma_alembic_version VALUES ('0003');


--
-- Data for Name: metrics; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.metrics VALUES ('4020cba4d4652c65c0ddbd76cd4dfc1d74993f0bb4d95b7aef1c175bd8d8a30d', 'train_bits_per_dim', 10, 4.1);
INSERT INTO public.metrics VALUES ('4020cba4d4652c65c0ddbd76cd4dfc1d74993f0bb4d95b7aef1c175bd8d8a30d', 'train_bits_per_dim', 100, 4.01);
INSERT INTO public.metrics VALUES ('4020cba4d4652c65c0ddbd76cd4dfc1d74993f0bb4d95b7aef1c175bd8d8a30d', 'holdout_bits_per_dim', 100, NULL);
INSERT INTO public.metrics VALUES ('6e41df76e58b4f5986db9ad6628edf20f0e3be8ef3d324248a4cffbd7d6fb377', 'train_bits_per_dim', 10, 4.1);
INSERT INTO public.metrics VALUES ('6e41df76e58b4f5986db9ad6628edf20f0e3be8ef3d324248a4cffbd7d6fb377', 'train_bits_per_dim', 200, 4.005);
INSERT INTO public.metrics VALUES ('6e41df76e58b4f5986db9ad6628edf20f0e3be8ef3d324248a4cffbd7d6fb377', 'holdout_bits_per_dim', 200, NULL);
INSERT INTO public.metrics VALUES ('520b07f8db538eed91e7b76ea89445497bfb980a82b0e12ebe1ed02f7059ebb0', 'train_bits_per_dim', 10, 4.1);
INSERT INTO public.metrics VALUES ('520b07f8db538eed91e7b76ea89445497bfb980a82b0e12ebe1ed02f7059ebb0', 'train_bits_per_dim', 500, 4.002);
INSERT INTO public.metrics VALUES ('520b07f8db538eed91e7b76ea89445497bfb980a82b0e12ebe1ed02f7059ebb0', 'holdout_bits_per_dim', 500, NULL);
INSERT INTO public.metrics VALUES ('33371d6f0649b83b88b39a21cc848e53627a737014eae783aea053ae5c6e113a', 'train_bits_per_dim', 10, 4.1);
INSERT INTO public.metrics VALUES ('33371d6f0649b83b88b39a21cc848e53627a737014eae783aea053ae5c6e113a', 'train_bits_per_dim', 500, 4.002);
INSERT INTO public.metrics VALUES ('33371d6f0649b83b88b39a21cc848e53627a737014eae783aea053ae5c6e113a', 'holdout_bits_per_dim', 500, NULL);
INSERT INTO public.metrics VALUES ('c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 'train_bits_per_dim', 10, 4.1);
INSERT INTO public.metrics VALUES ('c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 'train_bits_per_dim', 500, 4.002);
INSERT INTO public.metrics VALUES ('c752d7f589e44dbc1a0d4febb683c802278685a5cffd92aa9218af90ca4c1b46', 'holdout_bits_per_dim', 500, NULL);
INSERT INTO public.metrics VALUES ('4e3628453168b3c176a1a05e93fb5d871a5344b108b0d5815d2521dfd253f848', 'train_bits_per_dim', 10, 4.1);
INSERT INTO public.metrics VALUES ('4e3628453168b3c176a1a05e93fb5d871a5344b108b0d5815d2521dfd253f848', 'train_bits_per_dim', 500, 4.002);
INSERT INTO public.metrics VALUES ('4e3628453168b3c176a1a05e93fb5d871a5344b108b0d5815d2521dfd253f848', 'holdout_bits_per_dim', 500, NULL);
INSERT INTO public.metrics VALUES ('fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 'train_bits_per_dim', 10, 4.1);
INSERT INTO public.metrics VALUES ('fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 'train_bits_per_dim', 500, 4.002);
INSERT INTO public.metrics VALUES ('fdc5650da5546054cffb79f1b0817f86077eee6edd8c00b40a694ca3d8546bc7', 'holdout_bits_per_dim', 500, NULL);
INSERT INTO public.metrics VALUES ('765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 'train_bits_per_dim', 10, 4.1);
INSERT INTO public.metrics VALUES ('765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 'train_bits_per_dim', 500, 4.002);
INSERT INTO public.metrics VALUES ('765cf0c44ba990a41eed5eb77a59949e5ac39073138a00b6f414a413d53751a8', 'holdout_bits_per_dim', 500, NULL);
INSERT INTO public.metrics VALUES ('e46db273410c7eb30bdd03fa6b79195812092cbf7fd689b8a049e688094cb9f2', 'loss', 1, 12.5);
INSERT INTO public.metrics VALUES ('e46db273410c7eb30bdd03fa6b79195812092cbf7fd689b8a049e688094cb9f2', 'loss', 2, NULL);
INSERT INTO public.metrics VALUES ('2811b97f043d3af1de47a418673a23ce2537a3cdb3fe03be88963dcb89b5cf4b', 'loss', 1, 12.5);
INSERT INTO public.metrics VALUES ('2811b97f043d3af1de47a418673a23ce2537a3cdb3fe03be88963dcb89b5cf4b', 'loss', 2, NULL);
INSERT INTO public.metrics VALUES ('a16c422b79b8996024f657d956c19360b155c0a0ce24c6abc83ad9ce30bd7445', 'loss', 1, 12.5);
INSERT INTO public.metrics VALUES ('a16c422b79b8996024f657d956c19360b155c0a0ce24c6abc83ad9ce30bd7445', 'loss', 2, NULL);
INSERT INTO public.metrics VALUES ('f2103b3454cd910e7c49f1a1a169e45886564406aac18ca574cbaba4a463f4f4', 'loss', 1, 12.5);
INSERT INTO public.metrics VALUES ('f2103b3454cd910e7c49f1a1a169e45886564406aac18ca574cbaba4a463f4f4', 'loss', 2, NULL);
INSERT INTO public.metrics VALUES ('2bc8b5ebdc0a1e84999ae6d9bfcccde52cc170adb0cf8d31d010a4da3192d707', 'loss', 1, 12.5);
INSERT INTO public.metrics VALUES ('2bc8b5ebdc0a1e84999ae6d9bfcccde52cc170adb0cf8d31d010a4da3192d707', 'loss', 2, NULL);


--
-- Data for Name: pretrainings; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.pretrainings VALUES ('703f93c17808c781d70f05a15145285c5fcae70287665416cd8b843a14e8db26', '6c3d786f3ef92bc35a01edf0769f9a0b6cd0bf2dc5dc27b5035348e3f4cdcfaf', 'realnvp', 'photos8', 'u8', 0, 'squeezed');
INSERT INTO public.pretrainings VALUES ('f434d481d96a85089a326c8948948fada450e57307ff006eaa5769f25c358f1e', '6c3d786f3ef92bc35a01edf0769f9a0b6cd0bf2dc5dc27b5035348e3f4cdcfaf', 'realnvp', 'photos8', 'u8', 0, 'flat');
INSERT INTO public.pretrainings VALUES ('bc5f8209e57954a595b293149fc3744a43731d3e07d76abe49adbefeb22e5f1f', '6c3d786f3ef92bc35a01edf0769f9a0b6cd0bf2dc5dc27b5035348e3f4cdcfaf', 'realnvp', 'photos8', 'u8', 1, 'squeezed');


--
-- Data for Name: recipes; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.recipes VALUES ('ea39c900a188d708d08f9776f551d03626a2e85e0b1dcc7c535a21681f1606d4', 'realnvp', 'tiny', 2, 8, 500, '{"flow":"realnvp","splits":2,"training":{"rate":0.001,"steps":500}}');
INSERT INTO public.recipes VALUES ('c205189a481bf5a63f631c0f5a510d700ce01120fc41837ed4e7c390f8b6a0d1', 'resflow', 'tiny', 2, 8, 500, '{"flow":"resflow","splits":2,"training":{"rate":0.001,"steps":500}}');
INSERT INTO public.recipes VALUES ('6c3d786f3ef92bc35a01edf0769f9a0b6cd0bf2dc5dc27b5035348e3f4cdcfaf', 'realnvp', 'tiny', 0, 8, 1000, '{"flow":"realnvp","splits":0,"training":{"rate":0.001,"steps":1000}}');


--
-- Data for Name: results; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.results VALUES ('3dc493f5da32f8ea6b7f7cc39fcc53225abb4e34e8bbcd8f63c7733d98dee700', '86ef333b22415b3bef884b19e19364193ed1756c0f279ad0df34a48835d0a744', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'plain', '{"draws":1,"name":"plain"}', 'float32', 500, 3.8333333333333335, 0.03333333333333333, NULL, 100, 3.9761904761904763, NULL, 3.8333333323333334, -33.333333333333336, -1e-17, 5, 1767225904.0500002, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.results VALUES ('4045082028af64a0635747e8f65a9b741342823419d732fcd8b49ec7caa3fa7e', '023ac31fb7f3c8d947f50a96d1d1b422fcbc3b2d6b23f94b1d6eddd768fd2eb6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'plain', '{"draws":1,"name":"plain"}', 'float32', 500, 3.9333333333333336, 0.03333333333333333, NULL, 100, 4.076190476190477, NULL, 3.9333333323333335, -33.333333333333336, -1e-17, 6, 1767225975.7500002, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.results VALUES ('0c00efdea06969910a78a546ebfb359dc63e8ea85ef2244039fc24d231b2bcc9', 'e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'plain', '{"draws":1,"name":"plain"}', 'float32', 500, 3.7333333333333334, 0.03333333333333333, NULL, 100, 3.876190476190476, NULL, 3.7333333323333333, -33.333333333333336, -1e-17, 7, 1767226047.4500003, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.results VALUES ('6f3441ad03fe36f545dcb579af5642f8a86b1e5f20e8ea2a70e19d6f24512624', '125d06b43c3fff4297f1b962fda9c1dd77296e4dc3a4bf1bf14d9725a7483cc7', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'plain', '{"draws":1,"name":"plain"}', 'float32', 500, 3.6333333333333333, 0.03333333333333333, NULL, 100, 3.776190476190476, NULL, 3.633333332333333, -33.333333333333336, -1e-17, 8, 1767226119.1500003, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.results VALUES ('13aafb06d55a3a745371c1740196b4c3df3387f12160cece80a303cb5fd156b7', '3cbf73d3bcadee6d905a87c675c884af283cac3293dd55965d5efecd54f2a5fb', '605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 'plain', '{"draws":1,"name":"plain"}', 'float32', 500, 6, 0.03333333333333333, 7, 100, 6.142857142857143, NULL, 5.999999999, -33.333333333333336, -1e-17, 9, 1767226190.8500004, 10, 100, 5.333333333333333, 0.1, 20, -1e-07, 1e-08);
INSERT INTO public.results VALUES ('c591328e7a00cd419d11a3e9dda176d5b5e9461aeaca17d34307c4e7b08801c2', '50a19e2972352f4b02933a9ffda8ea091d2f0d96ebddd85204bfdebe20ee8595', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'plain', '{"draws":1,"name":"plain"}', 'float32', 500, 4, 0.03333333333333333, NULL, 100, 4.142857142857143, NULL, 3.999999999, -33.333333333333336, -1e-17, 16, 1767226574.3500006, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.results VALUES ('d930bf0372c632c2113e3ed10215ec2551bcdf6efb2d74490a7d3329a8ae0a63', 'e26be0134b7426a96f64a3a3cc0821573bda166889c76d36ecb07e61cde30fa6', '961eaa7a5545270a7d798679e1fa3fb35bdfb557e4f06408b308cb414bcc8916', 'published', '{"draws":1,"name":"published"}', 'float32', 500, 3.25, 0.03333333333333333, NULL, 100, 3.392857142857143, NULL, NULL, -33.333333333333336, -1e-17, 22, 1767226942.3500009, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.results VALUES ('83ae4e1396aa987d82070a752f6f98e9312a85242dae6bb4eba1b0c51086b553', '3cbf73d3bcadee6d905a87c675c884af283cac3293dd55965d5efecd54f2a5fb', '605bc24df333baea90e956ca5f10f33318cca66b9af56af1bdf38c5d8b692564', 'published', '{"draws":1,"name":"published"}', 'float32', 500, 5.75, 0.03333333333333333, NULL, 100, 5.892857142857143, NULL, NULL, -33.333333333333336, -1e-17, 23, 1767226950.8500009, NULL, NULL, NULL, NULL, NULL, NULL, NULL);


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
-- Name: contribution_maps pk_contribution_maps; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.contribution_maps
    ADD CONSTRAINT pk_contribution_maps PRIMARY KEY (id);


--
-- Name: data_sets pk_data_sets; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.data_sets
    ADD CONSTRAINT pk_data_sets PRIMARY KEY (digest);


--
-- Name: environments pk_environments; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.environments
    ADD CONSTRAINT pk_environments PRIMARY KEY (id);


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
    ADD CONSTRAINT pk_metrics PRIMARY KEY (job_id, name, step);


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
-- Name: ix_flow_trials_dataset_flow_factorization; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_flow_trials_dataset_flow_factorization ON public.flow_trials USING btree (dataset, flow, factorization);


--
-- Name: ix_jobs_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_jobs_state ON public.jobs USING btree (state);


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
-- Name: metrics fk_metrics_job_id_jobs; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.metrics
    ADD CONSTRAINT fk_metrics_job_id_jobs FOREIGN KEY (job_id) REFERENCES public.jobs(id);


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
