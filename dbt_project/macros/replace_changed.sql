{#
Incremental strategy `replace_changed`: deletes and writes again all rows that a changed file
touches, including keys that vanished. (dbt's delete+insert deletes only keys that it inserts, so a
vanished key would remain.) With --full-refresh, and after a change of the rules (macros/rules.sql),
all rows are written again; in place, because the model's `full_refresh: false` keeps dbt from
dropping the table and the views that depend on it.

    unique_key: order_id                       column, or list of columns, of the replaced keys
    meta: {changed_in: int_touched_keys}       model that lists the keys, in columns of the same
                                               names or of those in changed_keys

Strategy `replace_all` deletes all rows and writes them again in one transaction, for small models:
materialized as `table`, they would be dropped with the views that depend on them. `truncate_all`
does the same, equally fast for any number of old rows, but under a lock that readers wait for: for
lists that only a build reads.
#}
{% macro get_incremental_replace_changed_sql(args) %}
    {% set keys = [args.unique_key] if args.unique_key is string else args.unique_key %}
    {% set changed = ref(config.get('meta')['changed_in']) %}
    {% set changed_keys = config.get('meta').get('changed_keys', keys) %}
    delete from {{ args.target_relation }}
    {% if is_partial() %}
    -- qualified: a name that only the target has would match every row
    where ({{ keys | join(', ') }}) in (
        select changed.{{ changed_keys | join(', changed.') }} from {{ changed }} as changed
    )
    {% endif %};
    {{ get_insert_into_sql(args.target_relation, args.temp_relation, args.dest_columns) }}
{% endmacro %}


{% macro get_incremental_replace_all_sql(args) %}
    delete from {{ args.target_relation }};
    {{ get_insert_into_sql(args.target_relation, args.temp_relation, args.dest_columns) }}
{% endmacro %}


{% macro get_incremental_truncate_all_sql(args) %}
    truncate {{ args.target_relation }};
    {{ get_insert_into_sql(args.target_relation, args.temp_relation, args.dest_columns) }}
{% endmacro %}


{#
True if only changed rows are built: the table exists, was built by the same rules, and there is no
--full-refresh.
#}
{% macro is_partial() %}
    {{- return(is_incremental() and not flags.FULL_REFRESH and not are_rules_changed()) -}}
{% endmacro %}


{#
Condition for the rows to build: true in a full build, else only changed keys. The macro calls ref()
in both cases, so that dbt sees the dependency.
#}
{% macro is_changed(key, changed_in='int_touched_keys') %}
    {%- set changed = ref(changed_in) -%}
    {%- if is_partial() -%} {{ key }} in (select {{ key }} from {{ changed }})
    {%- else -%} true
    {%- endif -%}
{% endmacro %}
