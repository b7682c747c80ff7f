{#
    Feature tables hold dates, and a run replaces whole dates: those that end on as_of_date, and those on the
    grid that saw a day which a changed file touches. dbt's delete+insert would keep the old rows of a date whose
    new result is smaller, because it deletes only keys that come back.

    `until` is the column that says which day a row saw up to, that day excluded.

    --full-refresh makes the grid anew in place (so the models have `full_refresh: false`): dbt would drop the
    table, the views that read it, and the dates off the grid that were scored.
#}

{% macro is_replaced(until, first_touched_date) -%}
    (
        {{ until }} = {{ as_of_date() }}
        {%- if first_touched_date %}
        or (extract(day from as_of_date) = 1 and {{ until }} > {{ first_touched_date }})
        {%- endif %}
    )
{%- endmacro %}

{# Dates to make: of those that are there, the replaced ones; of those that are not, the wanted ones. #}
{% macro is_due(wanted, until='as_of_date', keys=['as_of_date']) -%}
    {%- if execute and not is_incremental() -%}
    {{ wanted }}
    {%- else -%} {#- also while dbt parses, so that it sees the ref() -#}
    {%- set touched = first_touched_date() -%}
    case
        -- the next date in the key's index, not `exists`: planned as a scan of the whole table
        when (dates.{{ keys | join(', dates.') }}) = (
            select {{ keys | join(', ') }} from {{ this }}
            where ({{ keys | join(', ') }}) >= (dates.{{ keys | join(', dates.') }})
            order by {{ keys | join(', ') }}
            limit 1
        ) then {{ is_replaced(until, "'-infinity'" if flags.FULL_REFRESH else touched) }}
        else {{ wanted }}
    end
    {%- endif -%}
{%- endmacro %}

{% macro first_touched_date() -%}
    (select min(first_touched_date) from {{ ref('int_changed_files') }})
{%- endmacro %}

{% macro get_incremental_replace_dates_sql(args) -%}
    {%- set changed = run_query('select ' ~ first_touched_date()) -%}
    {%- set touched = '-infinity' if flags.FULL_REFRESH else changed.columns[0][0] -%}
    delete from {{ args.target_relation }}
    where {{ is_replaced(args.unique_key, "'" ~ touched ~ "'" if touched else none) }};

    {{ get_insert_into_sql(args.target_relation, args.temp_relation, args.dest_columns) }}
{%- endmacro %}
